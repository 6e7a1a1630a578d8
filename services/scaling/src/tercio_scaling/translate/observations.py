"""Observations: domain to contract and back."""

from __future__ import annotations

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio_common.rpc.fields import duration, timestamp
from tercio_common.rpc.violations import Violations
from tercio_scaling.state.observations import Observation
from tercio_scaling.translate.fields import MOST_AGENTS

_MOST_TASKS = 10**9
_MOST_MS = 10**12


def observation_message(seen: Observation, wall: int = 0) -> agent_pool_pb2.Observation:
    """Return what was seen, at that wall time in ms, as the contract has it."""
    return agent_pool_pb2.Observation(
        waiting_count=seen.waiting,
        oldest_wait=duration(seen.oldest_wait),
        running_count=seen.running,
        mean_run_time=duration(seen.mean_run) if seen.mean_run else None,
        response_time=duration(seen.response) if seen.response else None,
        response_time_before=duration(seen.response_before) if seen.response_before else None,
        ready_count=seen.ready,
        starting_count=seen.starting,
        leaving_count=seen.leaving,
        failed_count=seen.failed,
        foreseen_slots=seen.foreseen if seen.foreseen >= 0 else None,
        observe_time=timestamp(wall) if wall else None,
    )


def observation_of(message: agent_pool_pb2.Observation, found: Violations) -> Observation:
    """Return what is to be taken as seen, and note what is wrong with it."""
    for name in ("ready_count", "starting_count", "leaving_count", "failed_count"):
        found.check_range(f"observation.{name}", getattr(message, name), least=0, most=MOST_AGENTS)
    for name in ("waiting_count", "running_count"):
        found.check_range(f"observation.{name}", getattr(message, name), least=0, most=_MOST_TASKS)
    times = {
        name: found.check_duration(f"observation.{name}", getattr(message, name), least_ms=0, most_ms=_MOST_MS)
        for name in ("oldest_wait", "mean_run_time", "response_time", "response_time_before")
    }
    return Observation(
        waiting=message.waiting_count,
        oldest_wait=times["oldest_wait"],
        running=message.running_count,
        mean_run=times["mean_run_time"],
        response=times["response_time"],
        response_before=times["response_time_before"],
        ready=message.ready_count,
        starting=message.starting_count,
        leaving=message.leaving_count,
        failed=message.failed_count,
        foreseen=message.foreseen_slots if message.HasField("foreseen_slots") else -1,
    )

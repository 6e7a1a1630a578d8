"""G6, for attempts: each ends exactly once, by its report, its return, its stop or the end of its lease."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from support.processes import SCHEDULER, Fleet
from support.raw_agent import raw_agent
from support.workload import Workload
from tercio import Client, RetryPolicy
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio_common.testing.history import Verdict, judge, recorded
from tercio_common.testing.history.facts import ENDS_ATTEMPT, Kind

_LEASE_MS = 2_000
_SHORT_LEASE = {"TERCIO_SCHEDULER__ATTEMPT_LEASE_MS": str(_LEASE_MS)}
_INSTANCE = b"i" * 16
_ONCE = RetryPolicy(max_attempts=1)
_LATER = RetryPolicy(initial_backoff=timedelta(seconds=1), multiplier=1.0)


async def _end_in_every_way(fleet: Fleet, recording: Path, aim: Callable[[str], None]) -> Verdict:
    """End attempts in each way, and tell of each end twice; the agent runs one at a time, so no slot may be lost."""
    server = await fleet.add(settings=_SHORT_LEASE)
    aim(server.address)
    async with recorded(fleet.journal, recording) as recorder, Client() as client:
        work = Workload(client, recorder)
        async with raw_agent(server.address, agent_id="dies", instance_id=_INSTANCE) as agent:
            await agent.hello()
            work.follow(await client.submit("lost", retry=_ONCE))
            lost = await agent.next_attempt()
            await agent.start(lost)
        # Its lease ends. The agent was not dead, only cut off, and comes back with what it holds.
        await work.states()
        async with raw_agent(server.address, agent_id="dies", instance_id=_INSTANCE) as agent:
            await agent.hello(started=[lost])
            await agent.succeed(lost, b"late")
        async with raw_agent(server.address, agent_id="works") as agent:
            await agent.hello()
            for outcome in (work_pb2.OUTCOME_SUCCEEDED, work_pb2.OUTCOME_FAILED):
                work.follow(await client.submit("reported", retry=_ONCE))
                attempt = await agent.next_attempt()
                await agent.end(attempt, outcome)
                await agent.end(attempt, outcome)
            stopped = await client.submit("stopped", retry=_ONCE)
            work.follow(stopped)
            attempt = await agent.next_attempt()
            await agent.start(attempt)
            await client.cancel(stopped.task_id)
            await agent.end(attempt, work_pb2.OUTCOME_CANCELLED)
            await agent.end(attempt, work_pb2.OUTCOME_CANCELLED)
            work.follow(await client.submit("returned", retry=_ONCE))
            attempt = await agent.next_attempt()
            await agent.end(attempt, work_pb2.OUTCOME_RETURNED)
            await agent.end(attempt, work_pb2.OUTCOME_RETURNED)
            await agent.succeed(await agent.next_attempt(), b"")
            await work.states()
    return judge(recording)


async def test_an_attempt_ends_once_however_it_ends_and_however_often_that_is_told(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    verdict = (await _end_in_every_way(fleet, recording, aim)).demand()
    ended = {kind: verdict.kinds[kind] for kind in ENDS_ATTEMPT if verdict.kinds[kind]}
    assert ended == {Kind.SUCCEEDED: 2, Kind.FAILED: 1, Kind.STOPPED: 1, Kind.RETURNED: 1, Kind.LOST: 1}
    assert sum(ended.values()) == verdict.kinds[Kind.OFFERED]


async def _fail_twice(fleet: Fleet, recording: Path, aim: Callable[[str], None], *, module: str) -> Verdict:
    """Report one attempt's failure in two frames, while its task waits for the next attempt."""
    server = await fleet.add(module)
    aim(server.address)
    async with recorded(fleet.journal, recording), Client() as client, raw_agent(server.address) as agent:
        await agent.hello()
        await client.submit("work", retry=_LATER)
        attempt = await agent.next_attempt()
        await agent.end(attempt, work_pb2.OUTCOME_FAILED)
        await agent.end(attempt, work_pb2.OUTCOME_FAILED)
    return judge(recording)


async def test_a_failure_that_is_told_twice_ends_the_attempt_once(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    verdict = (await _fail_twice(fleet, recording, aim, module=SCHEDULER)).demand()
    assert verdict.kinds[Kind.FAILED] == 1


async def test_an_attempt_that_ends_again_with_each_report_would_be_found_out(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    verdict = await _fail_twice(fleet, recording, aim, module="support.launchers.trusting_reports")
    assert verdict.broken() == {"G6"}

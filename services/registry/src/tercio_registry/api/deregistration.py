"""DeregisterAgent: at once, or after a drain that goes on without the caller; and what became of each part.

A graceful call waits for the agent to leave. When the caller's deadline comes first it is told so, and the drain's own
deadline, which is part of the state, still removes the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from tercio.api.registry.v1 import registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_registry import metrics, translate
from tercio_registry.effects.undo import Undoing, Undone
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.commands import DeregisterAgent
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.registration import incarnation_of
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session
from tercio_registry.state.views import AgentView, view

Report = registration_pb2.DeregistrationReport
_MARGIN_S = 0.25
"""Left of the caller's time for the answer itself."""
_RELEASED, _NOT_RESERVED = "what was reserved is given back", "nothing was reserved"
_REVOKED, _NOT_ISSUED = "what was issued is revoked", "no credentials were issued"
_log = structlog.get_logger(__name__)


class Deregistering:
    """Serves DeregisterAgent."""

    def __init__(
        self, host: Host, *, rules: Rules, undoing: Undoing, timer: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        """Prepare; `timer` gives nanoseconds, for the report."""
        self._host, self._rules, self._undoing, self._timer = host, rules, undoing, timer

    async def serve(
        self, command: DeregisterAgent, call: Call, *, time_left: float | None
    ) -> pb.DeregisterAgentResponse:
        """End the membership, and return what became of its parts; `time_left` is the caller's, in seconds.

        Raises:
            Refusal: see the contract.
        """
        try:
            return await self._end(command, call, time_left)
        except Refusal as refusal:
            if refusal.reason != "INTERNAL":
                raise
            raise _unexpected(command.agent_id) from refusal
        except Exception as error:
            _log.exception("deregistration_failed", consequence="answered DEREGISTRATION_EXCEPTION")
            raise _unexpected(command.agent_id) from error

    async def _end(self, command: DeregisterAgent, call: Call, time_left: float | None) -> pb.DeregisterAgentResponse:
        began = self._timer()
        # What is kept for retries is only whom it was about: the rest is looked up anew.
        incarnation = int(await self._host.execute(command, call=call, render=_render_incarnation))
        if command.leave_within:
            await self._wait_until_left(command.agent_id, incarnation, time_left)
        shown = await self._shown(command.agent_id, incarnation)
        metrics.DEREGISTRATIONS.labels("graceful" if command.leave_within or command.drain else "forced").inc()
        response = pb.DeregisterAgentResponse(agent=translate.agent_message(shown))
        _add(response.report, Report.PART_TASKS, *_tasks(shown.row), self._timer() - began)
        if not shown.row.active:
            await self._take_down(response.report, shown.row)
        response.report.duration.FromNanoseconds(self._timer() - began)
        return response

    async def _take_down(self, report: Report, row: AgentRow) -> None:
        began = self._timer()
        undone, outside = await self._undone(row), self._undoing.outside
        elapsed, done = self._timer() - began, Report.OUTCOME_COMPLETED
        reserved = bool(row.reserved_under) and outside.reserves(row.profile)
        cleared = bool(row.registration_id) and outside.clearance.outside
        for part, settled, detail in (
            (
                Report.PART_RESOURCES,
                undone.reservation,
                "what was reserved is given back" if reserved else _NOT_RESERVED,
            ),
            (Report.PART_CREDENTIALS, undone.clearance, "what was issued is revoked" if cleared else _NOT_ISSUED),
        ):
            outcome = done if settled else Report.OUTCOME_PENDING
            _add(report, part, outcome, detail if settled else "the registry tries again until it succeeds", elapsed)
        _add(report, Report.PART_MONITORING, done, "its heartbeats count no more", 0)
        _add(report, Report.PART_HISTORY, Report.OUTCOME_KEPT, f"for {self._rules.retention} ms", 0)
        _add(report, Report.PART_REGISTRY, done, f"incarnation {row.incarnation} ended in record {row.changed_seq}", 0)

    async def _undone(self, row: AgentRow) -> Undone:
        undone = await self._undoing.settle(self._host, row.registration_id)
        if not row.reservation_id:
            return undone
        kept = await self._undoing.settle(self._host, row.reservation_id)
        return Undone(undone.reservation and kept.reservation, undone.clearance and kept.clearance)

    async def _wait_until_left(self, agent_id: str, incarnation: int, time_left: float | None) -> None:
        """Wait for the end of that incarnation, at most until shortly before the caller's time is over."""
        changes = self._host.feed.subscribe(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if time_left is None else max(0, time_left - _MARGIN_S)):
                while not _has_left(self._host.machine.agents.get(agent_id), incarnation):
                    await anext(changes)

    async def _shown(self, agent_id: str, incarnation: int) -> AgentView:
        def look(machine: RegistryMachine, session: Session, at: Moment) -> AgentView:
            return view(incarnation_of(machine.agents.get(agent_id), agent_id, incarnation), at, session)

        return await self._host.read(look)


def _has_left(row: AgentRow | None, incarnation: int) -> bool:
    return row is None or row.incarnation != incarnation or not row.active


def _tasks(row: AgentRow) -> tuple[Report.Outcome.ValueType, str]:
    if row.active:
        return Report.OUTCOME_PENDING, "the agent still drains; it is removed at the drain's deadline at the latest"
    if row.drain is None:
        return Report.OUTCOME_PENDING, "the scheduler hands back what the agent was working on"
    finished, returned, took = row.drain
    return Report.OUTCOME_COMPLETED, f"in {took} ms it finished {finished} attempts and returned {returned}"


def _add(
    report: Report, part: Report.Part.ValueType, outcome: Report.Outcome.ValueType, detail: str, elapsed_ns: int
) -> None:
    report.parts.add(part=part, outcome=outcome, detail=detail).duration.FromNanoseconds(elapsed_ns)


def _render_incarnation(shown: AgentView) -> bytes:
    return str(shown.row.incarnation).encode()


def _unexpected(agent_id: str) -> Refusal:
    message = f"agent {agent_id!r} could not be deregistered; look whether it is still active, and try again"
    return Refusal("DEREGISTRATION_EXCEPTION", message, {"agentId": agent_id})

"""Tells the resources service what attempts use of what they hold: in bulk, every ten seconds and when one ends.

Only attempts that hold something are measured, and only those that run for a second: there is nothing to say of shorter
ones, and no call for each of many small ones. An attempt that says by which process it runs is measured by itself;
what this process uses is divided among the others that run. Reports are a service to the fleet, not a duty: while
nobody takes them they are dropped, and less and less is tried.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tercio.api.resources.v1 import usage_service_pb2 as pb
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.attempts import Attempt, AttemptKey, Stage
from tercio.metering import OWN, Meter, ProcessMeter, Reading
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote

if TYPE_CHECKING:
    from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceAsyncStub

SPENT: ContextVar[dict[str, int] | None] = ContextVar("tercio_spent", default=None)
"""What the attempt that runs here has spent so far, by dimension; None where none does that holds anything."""

_LOOK_S: Final = 1.0
"""Memory rises and falls, and a command may end at any time: what it used between two looks is not seen."""
_REPORT_S: Final = 10.0
_CALL_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 300.0
_MOST_REPORTS: Final = 1_000
_MB: Final = 1 << 20
_log = logging.getLogger(__name__)


def note_spent(dimension: str, amount: int) -> None:
    """Count what the attempt that runs here has spent, if it holds anything."""
    if (spent := SPENT.get()) is not None:
        spent[dimension] = spent.get(dimension, 0) + amount


@dataclass(slots=True)
class Metered:
    """One attempt that is measured.

    Attributes:
        attempt: the attempt.
        since: when what is told next began to be measured, in seconds of a clock that never goes back.
        seen: the session's processor time at the last look, in ms.
        cpu_ms: processor time since `since`.
        memory_bytes: the most memory since then.
        looks: how often it was looked at since then.
    """

    attempt: Attempt
    since: float
    seen: int = 0
    cpu_ms: float = 0.0
    memory_bytes: float = 0.0
    looks: int = 0

    def add(self, reading: Reading, share: float) -> None:
        """Count what was used since the last look."""
        self.cpu_ms += max(0, reading.cpu_ms - self.seen) * share
        self.seen = reading.cpu_ms
        self.memory_bytes = max(self.memory_bytes, reading.memory_bytes * share)
        self.looks += 1

    def told(self, now: float) -> dict[str, int]:
        """Return what is to be reported, by dimension in its unit, and begin anew."""
        used = dict(self.attempt.spent or {})
        if self.looks:
            used["cpu"] = round(self.cpu_ms / max(0.001, now - self.since))
            used["memory"] = -(-int(self.memory_bytes) // _MB)
        self.since, self.cpu_ms, self.memory_bytes, self.looks = now, 0.0, 0.0, 0
        return used


class UsageReports:
    """What the attempts of one agent use."""

    def __init__(
        self, remote: Remote[UsageServiceAsyncStub], *, meter: Meter | None = None, report_s: float = _REPORT_S
    ) -> None:
        """Report to the service at `remote` every `report_s` seconds."""
        self._remote = remote
        self._meter = meter
        self._report_s = report_s
        self._held: dict[AttemptKey, Metered] = {}
        self._ended: list[pb.ReportUsageRequest.Report] = []
        self._wanted = asyncio.Event()
        self._pause_s = 0.0
        self._next_report = self._quiet_until = 0.0

    def hold(self, attempts: Sequence[Attempt]) -> None:
        """Measure those that hold resources, from when they run."""
        for attempt in attempts:
            if attempt.has_resources:
                attempt.spent = {}
                self._held[attempt.key] = Metered(attempt, 0.0)
                self._wanted.set()

    def ended(self, attempt: Attempt) -> None:
        """Take the last word on an attempt that holds resources; it is sent at once, with that of others."""
        metered = self._held.pop(attempt.key, None)
        if metered is not None and (metered.looks or attempt.spent):
            self._ended.append(_report(attempt, metered.told(time.monotonic())))
            self._wanted.set()

    async def run(self) -> None:
        """Measure and report until cancelled."""
        meter: Meter = self._meter or ProcessMeter()
        while True:
            await self._wait()
            now = time.monotonic()
            self._look(meter, now)
            if self._ended or now >= self._next_report:
                await self._tell(now)

    async def _wait(self) -> None:
        """Return when there is something to look at, or at once when something has ended."""
        self._wanted.clear()
        if not self._held and not self._ended:
            await self._wanted.wait()
        if not self._ended:
            try:
                async with asyncio.timeout(min(_LOOK_S, self._report_s)):
                    while not self._ended:
                        self._wanted.clear()
                        await self._wanted.wait()
            except TimeoutError:
                return

    def _look(self, meter: Meter, now: float) -> None:
        running = [each for each in self._held.values() if each.attempt.stage is Stage.RUNNING]
        if not running:
            return
        readings = meter.read({each.attempt.session_id for each in running})
        here = sum(each.attempt.session_id == OWN for each in running)
        for each in running:
            session = each.attempt.session_id
            if (reading := readings.get(session)) is None:
                continue
            if not each.since:
                # Of this process only what it uses from now on; a session was started for the attempt.
                each.since = time.monotonic() - (time.perf_counter_ns() - each.attempt.started_ns) / 1e9
                if session == OWN:
                    each.since, each.seen = now, reading.cpu_ms
                    continue
            each.add(reading, 1 / here if session == OWN else 1.0)

    async def _tell(self, now: float) -> None:
        reports, self._ended = self._ended, []
        if now >= self._next_report:
            self._next_report = now + self._report_s
            reports += [_report(each.attempt, each.told(now)) for each in self._held.values() if each.looks]
        if now < self._quiet_until:
            return
        for first in range(0, len(reports), _MOST_REPORTS):
            request = pb.ReportUsageRequest(request_id=new_request_id(), reports=reports[first : first + _MOST_REPORTS])
            try:
                await self._remote.unary(lambda stub: stub.ReportUsage, request, timeout_s=_CALL_S)
                self._pause_s = 0.0
            except CallError as error:
                self._pause_s = min(_LONGEST_PAUSE_S, max(self._report_s, 2 * self._pause_s))
                self._quiet_until = time.monotonic() + self._pause_s
                _log.debug("usage is not reported for %.0f s: %s", self._pause_s, error)
                return


def _report(attempt: Attempt, used: Mapping[str, int]) -> pb.ReportUsageRequest.Report:
    epoch = attempt.epoch
    return pb.ReportUsageRequest.Report(
        owner=f"{attempt.task_id}@{epoch.generation}.{epoch.revision}.{attempt.number}",
        used=[ResourceAmount(dimension=name, amount=amount) for name, amount in sorted(used.items())],
        task_type=attempt.task_type,
    )

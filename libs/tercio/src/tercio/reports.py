"""What the agent has to tell the scheduler: gathered as it happens, sent as columns once a loop turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import SYSTEM_TYPES, Attempt, columns_of
from tercio.counts import TaskCounts
from tercio.errors import ClosedError
from tercio.prefetch import Credit
from tercio.usage import UsageReports

# A hundred records a frame is the knee of the cost curve; beyond this a frame only delays its own commit.
_MOST_RECORDS: Final = 500
# The contract's bound is 256 kB; the rest is for ids, numbers and messages.
_MOST_BYTES: Final = 192 * 1024
_ID_BYTES: Final = 40
_MOST_PERCENTS: Final = 2_000


class FrameContent(NamedTuple):
    """What a frame settles when it is committed."""

    ended: list[Attempt]
    checkpoints: list[asyncio.Future[None]]

    def settle(self) -> None:
        """Wake those that wait for their checkpoint to be durable."""
        for waiter in self.checkpoints:
            if not waiter.done():
                waiter.set_result(None)

    def abandon(self, why: str = "the agent was closed before the checkpoint was known to be durable") -> None:
        """Tell those that wait that nobody will know."""
        for waiter in self.checkpoints:
            if not waiter.done():
                waiter.set_exception(ClosedError(why))


class Reports:
    """Reports that were not put into a frame yet. Implements `RunnerReports`."""

    def __init__(self, *, credit: Credit, counts: TaskCounts, usage: UsageReports, wake: Callable[[], None]) -> None:
        """Gather reports, count what ended, and call `wake` whenever there is a new one."""
        self._credit = credit
        self._counts = counts
        self._usage = usage
        self._wake = wake
        self._started: list[Attempt] = []
        self._ended: list[Attempt] = []
        self._checkpoints: dict[Attempt, list[asyncio.Future[None]]] = {}
        self._percents: dict[Attempt, int] = {}

    @property
    def is_empty(self) -> bool:
        """True when everything was put into frames."""
        return not (self._started or self._ended or self._checkpoints)

    def started(self, attempt: Attempt) -> None:
        if not attempt.started_reported:
            attempt.started_reported = True
            self._started.append(attempt)
            self._wake()

    def ended(self, attempt: Attempt) -> None:
        if attempt.has_resources:
            self._usage.ended(attempt)
        if attempt.started_ns and not attempt.task_type.startswith(SYSTEM_TYPES):
            self._credit.observe(attempt.run_micros)
            self._counts.ended(attempt)
        self._percents.pop(attempt, None)
        if not self._ended:
            self._wake()
        self._ended.append(attempt)

    def progress(self, attempt: Attempt, percent: int) -> None:
        self.started(attempt)
        self._percents[attempt] = percent
        self._wake()

    def checkpoint(self, attempt: Attempt, data: bytes) -> Awaitable[None]:
        self.started(attempt)
        attempt.checkpoint = data
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._checkpoints.setdefault(attempt, []).append(durable)
        self._wake()
        return durable

    def take_frame(self) -> tuple[work_pb2.WorkFrame, FrameContent] | None:
        """Return the next frame and what it settles; None when there is nothing to report."""
        if self.is_empty:
            return None
        frame = work_pb2.WorkFrame()
        room = _MOST_BYTES
        started, self._started = self._started[:_MOST_RECORDS], self._started[_MOST_RECORDS:]
        if started:
            frame.started.CopyFrom(columns_of(started))
            room -= _ID_BYTES * len(started)
        waiters, room = self._take_checkpoints(frame, room)
        ended = self._take_ended(room)
        if ended:
            _write_ended(frame, ended)
        return frame, FrameContent(ended, waiters)

    def take_progress(self) -> work_pb2.ProgressFrame | None:
        """Return the latest progress of every attempt that told any."""
        if not self._percents:
            return None
        told = list(self._percents)[:_MOST_PERCENTS]
        percents = {attempt: self._percents.pop(attempt) for attempt in told}
        return work_pb2.ProgressFrame(attempts=columns_of(list(percents)), percents=percents.values())

    def abandon(self) -> None:
        """Tell those that wait for a checkpoint that nobody will know."""
        for waiters in self._checkpoints.values():
            FrameContent([], waiters).abandon()
        self._checkpoints.clear()

    def _take_checkpoints(self, frame: work_pb2.WorkFrame, room: int) -> tuple[list[asyncio.Future[None]], int]:
        attempts: list[Attempt] = []
        waiters: list[asyncio.Future[None]] = []
        while self._checkpoints and (not attempts or room > 0):
            attempt = next(iter(self._checkpoints))
            size = len(attempt.checkpoint) + _ID_BYTES
            if attempts and size > room:
                break
            waiters += self._checkpoints.pop(attempt)
            frame.checkpoints.add(index=len(attempts), data=attempt.checkpoint)
            attempts.append(attempt)
            room -= size
        if attempts:
            frame.checkpointed.CopyFrom(columns_of(attempts))
        return waiters, room

    def _take_ended(self, room: int) -> list[Attempt]:
        # The first one always fits: nothing is longer than 64 kB.
        count = 0
        for attempt in self._ended[:_MOST_RECORDS]:
            room -= len(attempt.result) + _ID_BYTES
            if attempt.failure is not None:
                room -= len(attempt.failure.message)
            if room < 0 and count:
                break
            count += 1
        ended, self._ended = self._ended[:count], self._ended[count:]
        return ended


def _write_ended(frame: work_pb2.WorkFrame, ended: list[Attempt]) -> None:
    frame.ended.CopyFrom(columns_of(ended))
    frame.run_micros.extend([attempt.run_micros for attempt in ended])
    outcomes = [attempt.outcome for attempt in ended]
    if outcomes.count(work_pb2.OUTCOME_SUCCEEDED) != len(ended):
        frame.outcomes.extend(outcomes)
    results = [attempt.result for attempt in ended]
    if any(results):
        frame.results.extend(results)
    for index, attempt in enumerate(ended):
        if attempt.failure is not None:
            frame.failures.add(
                index=index,
                reason=attempt.failure.reason,
                message=attempt.failure.message,
                permanent=attempt.failure.permanent,
            )

"""Runs attempts: at most `concurrency` at once, each in one of as many long-lived asyncio tasks.

A handler that never waits is run to its end without a task switch, so that small attempts cost microseconds. As soon as
one waits, the next runner takes the next attempt: whoever takes an attempt wakes another runner if there are more.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt, Failure, Stage, Stop, failure_of
from tercio.context import AttemptReports, BlockingContext, Context
from tercio.errors import HandlerError, PermanentError
from tercio.handlers import Handler, Handlers
from tercio.isolation import Isolated
from tercio.payloads import MAX_BYTES, encode
from tercio.usage import SPENT

_log = logging.getLogger(__name__)

# Attempts that end sooner are never reported as started: their end says it all.
STARTED_AFTER_MS: Final = 20

# Handlers that never wait are interrupted after this long, so that streams and renewals get their turn.
_SLICE_NS: Final = 5_000_000

_CLOSE_GRACE_S: Final = 5.0


class RunnerReports(AttemptReports, Protocol):
    """Who is told what became of attempts."""

    def started(self, attempt: Attempt) -> None:
        """Tell that the attempt has run for 20 ms."""
        ...

    def ended(self, attempt: Attempt) -> None:
        """Tell that the attempt has an outcome."""
        ...


class Runners:
    """The attempts that wait and run in this process."""

    def __init__(
        self, handlers: Handlers, reports: RunnerReports, *, concurrency: int, grace_s: Callable[[], float]
    ) -> None:
        """Run up to `concurrency` attempts at once, plain handlers in as many threads.

        What goes on for `grace_s` seconds after it was asked to stop is abandoned.
        """
        self._handlers = handlers
        self._reports = reports
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._queue: deque[Attempt] = deque()
        self._runners: set[asyncio.Task[None]] = set()
        self._strays: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._is_waking = False
        self._unreported: dict[Attempt, None] = {}
        self._running: set[Attempt] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._in_threads: dict[Attempt, tuple[asyncio.Future[Any], Future[Any], ThreadPoolExecutor]] = {}
        self._abandoned: list[tuple[Future[Any], ThreadPoolExecutor]] = []
        self._closing = False
        self._base_context = contextvars.copy_context()

    @property
    def is_quiet(self) -> bool:
        """True when nothing waits and nothing runs."""
        return not self._running and all(attempt.stage is not Stage.QUEUED for attempt in self._queue)

    def offer(self, attempts: list[Attempt]) -> None:
        """Run these attempts, in order, as soon as there is room."""
        self._queue.extend(attempts)
        if self._queue:
            self._wake_one()

    def stop(self, attempt: Attempt, why: Stop) -> None:
        """Ask an attempt to stop: one that waits ends at once, an `async` one at its next `await`."""
        if attempt.stage is Stage.QUEUED:
            attempt.stop = why
            self._end(attempt, work_pb2.OUTCOME_CANCELLED)
        elif attempt.stage is Stage.RUNNING and attempt.stop is None:
            attempt.stop = why
            if attempt.context is not None:
                attempt.context.note_stop()
            if attempt.timer is not None:
                attempt.timer.cancel()
            attempt.timer = asyncio.get_running_loop().call_later(self._grace_s(), self._abandon, attempt)
            if isinstance(attempt.context, BlockingContext):
                self._end_without_thread(attempt, why)
            elif attempt.runner is not None:
                attempt.was_interrupted = True
                attempt.runner.cancel(why.value)

    def give_back(self, attempt: Attempt) -> None:
        """Return an attempt if it was not started; else do nothing."""
        if attempt.stage is Stage.QUEUED:
            self._end(attempt, work_pb2.OUTCOME_RETURNED)

    def give_all_back(self) -> None:
        """Return every attempt that was not started."""
        queue, self._queue = self._queue, deque()
        for attempt in queue:
            self.give_back(attempt)

    def stop_all(self) -> None:
        """Ask every attempt that runs to stop because the agent does."""
        for attempt in list(self._running):
            self.stop(attempt, Stop.AGENT_STOPPED)

    async def close(self) -> None:
        """Stop every attempt and every runner; a handler that does not end within 5 s is abandoned."""
        self._closing = True
        self.give_all_back()
        self.stop_all()
        for waiter in self._idle:
            if not waiter.done():
                waiter.set_result(None)
        late = [asyncio.wrap_future(thread) for thread, _ in self._abandoned]
        stubborn: set[asyncio.Future[Any]] = set()
        if ends := {*self._runners, *self._strays, *late}:
            _, stubborn = await asyncio.wait(ends, timeout=_CLOSE_GRACE_S)
        for end in {*stubborn, *late}:
            if not end.cancel() and not end.cancelled():
                end.exception()  # of no interest: the attempt was reported long ago
        if self._sweep is not None:
            self._sweep.cancel()
        if self._threads is not None:
            # Without a stubborn handler every thread is idle and ends at once.
            self._threads.shutdown(wait=not stubborn, cancel_futures=True)
        for _, pool in self._abandoned:
            pool.shutdown(wait=not stubborn)

    def _wake_one(self) -> None:
        if self._is_waking or self._closing:
            return
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                self._is_waking = True
                waiter.set_result(None)
                return
        if len(self._runners) < self._concurrency:
            self._is_waking = True
            task = asyncio.get_running_loop().create_task(self._run_endlessly(), name="tercio-runner")
            self._runners.add(task)
            task.add_done_callback(self._runners.discard)
            task.add_done_callback(self._strays.discard)

    async def _run_endlessly(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine of ours always runs in a task
        self._is_waking = False
        slice_start = time.monotonic_ns()
        while not self._closing and task not in self._strays:
            attempt = self._next()
            if attempt is None:
                await self._park()
                slice_start = time.monotonic_ns()
                continue
            if self._queue:
                self._wake_one()
            await self._run(attempt, task)
            while task.cancelling():
                task.uncancel()
            if time.monotonic_ns() - slice_start > _SLICE_NS:
                await asyncio.sleep(0)
                slice_start = time.monotonic_ns()

    async def _park(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        await waiter
        self._is_waking = False

    def _next(self) -> Attempt | None:
        while self._queue:
            attempt = self._queue.popleft()
            if attempt.stage is Stage.QUEUED:
                return attempt
        return None

    async def _run(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        handler = self._handlers.get(attempt.task_type)
        attempt.stage = Stage.RUNNING
        attempt.runner = task
        attempt.started_ns = time.perf_counter_ns()
        self._running.add(attempt)
        self._unreported[attempt] = None
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(STARTED_AFTER_MS / 1000, self._sweep_started)
        try:
            result = encode(await self._call(handler, attempt))
        except (Exception, asyncio.CancelledError) as error:
            self._end_with_error(attempt, error)
            if isinstance(error, asyncio.CancelledError) and task.cancelling() > _own_cancellations(attempt):
                raise  # somebody cancels the runner itself, as at the end of the event loop
        else:
            self._end_with_result(attempt, result)
        finally:
            attempt.runner = None

    async def _call(self, handler: Handler | None, attempt: Attempt) -> Any:
        if handler is None:
            raise HandlerError(f"this agent has no handler for {attempt.task_type!r}", reason="UNKNOWN_TASK_TYPE")
        own = self._base_context.copy()
        if attempt.spent is not None:
            own.run(SPENT.set, attempt.spent)
        if not handler.is_plain:
            context = attempt.context = Context(attempt, self._reports)
            return await Isolated(handler.function(context), own)
        loop = asyncio.get_running_loop()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._concurrency, thread_name_prefix="tercio-handler")
        blocking = attempt.context = BlockingContext(attempt, self._reports, loop)
        thread = self._threads.submit(own.run, handler.function, blocking)
        end = asyncio.wrap_future(thread)
        self._in_threads[attempt] = end, thread, self._threads
        try:
            return await end
        finally:
            self._in_threads.pop(attempt, None)

    def _end_with_result(self, attempt: Attempt, result: bytes) -> None:
        if attempt.stage is Stage.ENDED:
            return  # it was abandoned
        if len(result) > MAX_BYTES:
            message = f"the result of {len(result)} bytes is over 64 kB: return a reference to it instead"
            attempt.failure = failure_of("PAYLOAD_TOO_LARGE", message, permanent=True)
            self._end(attempt, work_pb2.OUTCOME_FAILED)
        else:
            attempt.result = result
            self._end(attempt, work_pb2.OUTCOME_SUCCEEDED)

    def _end_with_error(self, attempt: Attempt, error: BaseException) -> None:
        if attempt.stop is not None:
            self._end_stopped(attempt, attempt.stop)
            return
        if isinstance(error, HandlerError):
            attempt.failure = failure_of(error.reason, str(error), permanent=isinstance(error, PermanentError))
        else:
            attempt.failure = failure_of("HANDLER_ERROR", f"{type(error).__name__}: {error}")
        self._end(attempt, work_pb2.OUTCOME_FAILED)

    def _end_stopped(self, attempt: Attempt, why: Stop) -> None:
        if why is Stop.CANCELLED:
            self._end(attempt, work_pb2.OUTCOME_CANCELLED)
        else:
            attempt.failure = _stopped(attempt, why)
            self._end(attempt, work_pb2.OUTCOME_FAILED)

    def _end_without_thread(self, attempt: Attempt, why: Stop) -> None:
        """Report a timeout at once: the thread may run on for ever, and what it returns then is of no interest."""
        if why is not Stop.CANCELLED:
            self._end_stopped(attempt, why)
        if why is Stop.TIMED_OUT:
            self._abandon_thread(attempt)

    def _abandon(self, attempt: Attempt) -> None:
        """Report an attempt that goes on although it was asked to stop, and give its place to the next one."""
        if attempt.stop is None or attempt.stage is Stage.ENDED:
            return
        _log.warning(
            "task %s of type %s did not stop when it was asked to (%s); it is abandoned, and may go on unseen",
            *(attempt.task_id, attempt.task_type, attempt.stop.value),
        )
        runner = attempt.runner
        self._end_stopped(attempt, attempt.stop)
        if attempt in self._in_threads:
            self._abandon_thread(attempt)
        elif runner is not None:
            self._runners.discard(runner)
            self._strays.add(runner)
            if self._queue:
                self._wake_one()

    def _abandon_thread(self, attempt: Attempt) -> None:
        """Let the runner go on without the thread: else attempts would wait here for ever, their leases renewed."""
        if (held := self._in_threads.get(attempt)) is None:
            return
        end, thread, pool = held
        self._abandoned = [one for one in self._abandoned if not one[0].done()]
        self._abandoned.append((thread, pool))
        if pool is self._threads:
            # The thread keeps its place in its pool, and pools do not grow.
            pool.shutdown(wait=False)
            self._threads = None
        end.cancel()

    def _end(self, attempt: Attempt, outcome: work_pb2.Outcome.ValueType) -> None:
        if attempt.stage is Stage.ENDED:
            return
        if attempt.started_ns:
            attempt.run_micros = (time.perf_counter_ns() - attempt.started_ns) // 1000
        attempt.stage = Stage.ENDED
        attempt.outcome = outcome
        attempt.context = None
        self._running.discard(attempt)
        self._unreported.pop(attempt, None)
        if attempt.timer is not None:
            attempt.timer.cancel()
        self._reports.ended(attempt)

    def _sweep_started(self) -> None:
        """Report those that run for 20 ms by now, and watch over their timeouts; one timer for all of them."""
        loop = asyncio.get_running_loop()
        started_before = time.perf_counter_ns() - STARTED_AFTER_MS * 1_000_000
        while self._unreported and (attempt := next(iter(self._unreported))).started_ns <= started_before:
            del self._unreported[attempt]
            self._reports.started(attempt)
            if attempt.timeout_ms and attempt.stop is None:
                left_s = max(attempt.timeout_ms - STARTED_AFTER_MS, 0) / 1000
                attempt.timer = loop.call_later(left_s, self.stop, attempt, Stop.TIMED_OUT)
        self._sweep = None
        if self._unreported:
            self._sweep = loop.call_later(STARTED_AFTER_MS / 1000, self._sweep_started)


def _own_cancellations(attempt: Attempt) -> int:
    """Return how often `Runners.stop` has cancelled the task that runs the attempt."""
    return 1 if attempt.was_interrupted else 0


def _stopped(attempt: Attempt, why: Stop) -> Failure:
    if why is Stop.TIMED_OUT:
        return failure_of(why.value, f"the attempt ran longer than {attempt.timeout_ms} ms")
    if why is Stop.LEASE_ENDED:
        return failure_of(why.value, "nobody confirmed in time that the attempt still holds its resources")
    return failure_of(why.value, "the agent stopped before the attempt ended")

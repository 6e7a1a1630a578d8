"""Budgets of calls to language models: spent from blocks that are leased in the background."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import grpc
from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import budget_service_pb2 as pb
from tercio.blocks import IDLE_MS, NOTHING, Amount, Block
from tercio.freezes import FreezeWatch
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError, ConflictError, DeadlineExceededError, ExhaustedError, UnavailableError
from tercio.rpc.remote import Remote
from tercio.usage import note_spent

if TYPE_CHECKING:
    from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceAsyncStub

_PAUSE_MS: Final = 500
"""After a call that failed for want of a leader."""
_CALL_S: Final = 5.0
_PASSES = "INSUFFICIENT_RESOURCES"


class Spent:
    """What one block of code spends; it took an estimate, and may say better at its end."""

    def __init__(self, purse: _Purse, reserved: Amount) -> None:
        self._purse = purse
        self.reserved = reserved
        self.actual = reserved

    def used(self, tokens: int) -> None:
        """Say how many tokens the call took; the difference is settled when the block ends."""
        self.actual = Amount(tokens, self.reserved.requests)

    async def throttled(self, retry_after_s: float) -> None:
        """Say that the provider refused the call with 429: the account is frozen, for everybody, for that long."""
        self.actual = NOTHING
        await self._purse.throttled(retry_after_s)


class Budgets:
    """Budgets as one process spends them. It belongs to the event loop in which it is entered.

    Example:
        async with client.budgets() as budget:
            async with budget.tokens("openai", 1200) as spent:
                reply = await ask(prompt)
                spent.used(reply.tokens)
    """

    def __init__(self, remote: Remote[BudgetServiceAsyncStub], *, holder: str = "") -> None:
        """Spend as `holder`, which nobody else may be; by default a new name."""
        self._remote = remote
        self._holder = holder or f"client-{new_request_id()}"
        self._purses: dict[str, _Purse] = {}
        self._hearing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Return itself; leaving the block gives back what was not spent."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give back what was not spent."""
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        await asyncio.gather(*(purse.close() for purse in self._purses.values()))

    @asynccontextmanager
    async def tokens(self, budget_id: str, tokens: int, *, requests: int = 1) -> AsyncIterator[Spent]:
        """Spend that many tokens, as soon as the budget allows it. They are spent, not held, while the block runs.

        Raises:
            NotFoundError: there is no such budget.
            ConflictError: it is more than one burst of the budget, or the cost limit is reached.
        """
        purse = self._purses.get(budget_id)
        if purse is None:
            purse = self._purses[budget_id] = _Purse(self._remote, self._holder, budget_id)
        if self._hearing is None:
            self._hearing = asyncio.create_task(FreezeWatch(self._remote, self._freeze).run(), name="tercio-freezes")
        reserved = Amount(tokens, requests)
        await purse.take(reserved)
        spent = Spent(purse, reserved)
        try:
            yield spent
        finally:
            purse.correct(reserved, spent.actual)
            note_spent("tokens", spent.actual.tokens)

    def _freeze(self, budget_id: str, duration_ms: int) -> None:
        if (purse := self._purses.get(budget_id)) is not None:
            purse.freeze(duration_ms)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    need: Amount
    served: asyncio.Future[None]


class _Purse:
    """One budget: who waits here, and the task that leases for them, first come first served."""

    def __init__(self, remote: Remote[BudgetServiceAsyncStub], holder: str, budget_id: str) -> None:
        self._remote, self._holder, self._budget_id = remote, holder, budget_id
        self._block = Block()
        self._waiters: deque[_Waiter] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._leasing = asyncio.create_task(self._lease_always())

    async def take(self, need: Amount) -> None:
        if not self._waiters and self._block.take(need, _now()):
            return
        waiter = _Waiter(need, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._wake.set()
        try:
            await waiter.served
        except asyncio.CancelledError:
            if waiter.served.done() and not waiter.served.cancelled() and waiter.served.exception() is None:
                self._block.correct(need, NOTHING, _now())
            raise

    def correct(self, reserved: Amount, actual: Amount) -> None:
        if actual != reserved:
            self._block.correct(reserved, actual, _now())
            self._wake.set()

    def freeze(self, duration_ms: int) -> None:
        self._block.freeze(_now() + duration_ms)

    async def throttled(self, retry_after_s: float) -> None:
        retry_after = max(1, round(retry_after_s * 1000))
        self.freeze(retry_after)
        request = pb.ReportThrottledRequest(
            request_id=new_request_id(), budget_id=self._budget_id, retry_after=_duration(min(retry_after, 3_600_000))
        )
        with contextlib.suppress(CallError):  # those who share the account will find out by themselves
            await self._remote.unary(lambda stub: stub.ReportThrottled, request, timeout_s=_CALL_S)

    async def close(self) -> None:
        self._closing.set()
        self._wake.set()
        await asyncio.gather(self._leasing, return_exceptions=True)  # a report that is under way must arrive
        for waiter in self._waiters:
            waiter.served.cancel()
        await self._give_back()

    async def _lease_always(self) -> None:
        while not self._closing.is_set():
            self._serve()
            frozen_ms = self._block.frozen_until - _now()
            if not self._waiters:
                await self._settle_when_quiet()
            elif frozen_ms > 0:
                await self._pause(frozen_ms)
            else:
                await self._pause(await self._lease())

    async def _settle_when_quiet(self) -> None:
        """Wait until something is wanted; report and renew meanwhile, or give the block back when it is idle."""
        self._wake.clear()
        try:
            async with asyncio.timeout(None if self._block.is_told else IDLE_MS / 1000):
                await self._wake.wait()
        except TimeoutError:
            await (self._give_back() if self._block.is_idle(_now()) else self._lease())

    async def _pause(self, duration_ms: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_ms / 1000):
                await self._closing.wait()

    def _serve(self) -> None:
        while self._waiters:
            first = self._waiters[0]
            if not first.served.done():
                if not self._block.take(first.need, _now()):
                    return
                first.served.set_result(None)
            self._waiters.popleft()

    async def _lease(self) -> int:
        """Report, and lease what the first waiter needs; return how many ms to wait before the next time."""
        first = self._waiters[0] if self._waiters else None
        need = first.need if first is not None else NOTHING
        waiting = NOTHING
        for each in self._waiters:
            waiting = waiting.plus(each.need)
        sent = _now()
        report = self._block.report(need, waiting, sent)
        item = pb.LeaseBlocksRequest.Item(
            budget_id=self._budget_id,
            spent=_spending(report.spent),
            refunded=_spending(report.refunded),
            need=_spending(report.need),
            want=_spending(report.want) if need != NOTHING else None,
        )
        request = pb.LeaseBlocksRequest(request_id=new_request_id(), holder=self._block_holder, items=[item])
        try:
            response = await self._remote.unary(lambda stub: stub.LeaseBlocks, request, timeout_s=_CALL_S)
        except CallError as error:
            self._block.drop()
            if not _may_pass(error):
                self._fail(error)
            return _PAUSE_MS
        (block,) = response.blocks
        leased = Amount(block.leased.tokens, block.leased.requests)
        self._block.answered(leased, sent=sent, ttl=response.ttl.ToMilliseconds())
        if block.reason == _PASSES:
            return block.retry_after.ToMilliseconds()
        if block.reason and first is not None:
            self._refuse(first, block.reason)
        elif first is not None:
            self._meet(first)
        return 0

    def _meet(self, first: _Waiter) -> None:
        self._block.met(first.need, _now())
        self._waiters.popleft()
        if first.served.done():  # it gave up meanwhile
            self._block.correct(first.need, NOTHING, _now())
        else:
            first.served.set_result(None)

    def _refuse(self, first: _Waiter, reason: str) -> None:
        self._waiters.popleft()
        if not first.served.done():
            message = f"{first.need} of budget {self._budget_id!r} can not be spent: {reason}"
            error = ConflictError(message, code=grpc.StatusCode.FAILED_PRECONDITION, reason=reason)
            first.served.set_exception(error)

    def _fail(self, error: CallError) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.served.done():
                waiter.served.set_exception(error)

    async def _give_back(self) -> None:
        if self._block.is_told:
            return
        report = self._block.report(NOTHING, NOTHING, _now())
        item = pb.ReturnBlocksRequest.Item(
            budget_id=self._budget_id, spent=_spending(report.spent), refunded=_spending(report.refunded)
        )
        request = pb.ReturnBlocksRequest(request_id=new_request_id(), holder=self._block_holder, items=[item])
        self._block.drop()
        with contextlib.suppress(CallError):  # then all of the block counts as spent
            await self._remote.unary(lambda stub: stub.ReturnBlocks, request, timeout_s=_CALL_S)

    @property
    def _block_holder(self) -> str:
        return f"{self._holder}/{self._block.number}"


def _may_pass(error: CallError) -> bool:
    """Tell whether the same may be answered later."""
    return isinstance(error, UnavailableError | DeadlineExceededError | ExhaustedError)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000


def _spending(amount: Amount) -> pb.Spending:
    return pb.Spending(tokens=amount.tokens, requests=amount.requests)


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)

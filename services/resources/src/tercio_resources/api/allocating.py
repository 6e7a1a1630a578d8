"""Allocate: at once, or when enough was given back.

A call that waits is asked again whenever something is given back, in the order in which calls are to be served. It is
granted on the tip like any other, and answered when that is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT, Call
from tercio_common.machine.term import Proposal, Term
from tercio_common.rpc.fields import epoch_message
from tercio_resources import metrics
from tercio_resources.state import optimisation, strategies
from tercio_resources.state.commands import Kind, Optimize
from tercio_resources.state.grants import Granted
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.session import Session
from tercio_resources.state.sharing.dominant_share import dominant_shares
from tercio_resources.state.sharing.order import in_order
from tercio_resources.state.waiting import Ticket
from tercio_resources.translate.allocations import Asked, gap_messages

_MARGIN_S = 0.25
"""Left of the caller's time for the answer itself."""
_RETRY_MS = 500
_RELIEF_MS = 1_000
"""It looks at all that is reported; more often it would find no more, as holders report every 10 s."""
_MOST_MICROS = 2**63 - 1
_REPORT_INTERVAL = Duration(seconds=10)
_MOST_NAMED = 20
"""Dimensions in a status: metadata over 8 kB is refused at random."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    call: Call
    term: Term
    answer: asyncio.Future[Proposal]


class Allocating:
    """Serves Allocate."""

    def __init__(self) -> None:
        self._waiters: dict[Ticket, _Waiter] = {}
        self._freed = -1
        self._relieved = -_RELIEF_MS

    async def serve(
        self, asked: Asked, call: Call, term: Term, *, time_left: float | None
    ) -> bytes | pb.AllocateResponse:
        """Grant a batch in this term, and wait for it if that was asked; `time_left` is the caller's, in seconds.

        Raises:
            Refusal: see the contract.
        """
        try:
            proposal = self._propose(asked, call, term)
        except Refusal:
            await term.committed(term.tip.seq)
            raise
        if len(asked.command.owners) > 1 and not asked.command.atomic:
            await term.committed(proposal.seq)
            reply: bytes = proposal.reply
            return reply
        response = pb.AllocateResponse.FromString(proposal.reply)
        if _waits(response) and self._relieve(term):
            proposal = self._propose(asked, call, term)
            response = pb.AllocateResponse.FromString(proposal.reply)
        if asked.wait and _waits(response):
            proposal = await self._wait(asked, call, term, proposal, time_left)
            response = pb.AllocateResponse.FromString(proposal.reply)
        await term.committed(proposal.seq)
        if response.refused:
            raise _refusal(response)
        return response

    def serve_waiting(self, _committed: int = 0, *, anyway: bool = False) -> None:
        """Ask again for every call that waits, the first to be served first, if something was given back."""
        if not self._waiters:
            return
        term = next(iter(self._waiters.values())).term
        machine, session, now = _machine(term), _session(term), term.moment().now
        if not anyway and machine.tables.freed == self._freed:
            return
        self._freed = machine.tables.freed
        shares = dominant_shares(machine.tables.holdings.by_tenant, machine.tables.by_dimension.capacities())
        session.waiting.kept = frozenset()
        self._relieve(term)
        ranking = strategies.sharing(machine.tables.strategies, machine.rules)
        for ticket in in_order(session.waiting, now=now, ageing=machine.rules.ageing, shares=shares, strategy=ranking):
            waiter = self._waiters.get(ticket)
            if waiter is None or waiter.answer.done():
                continue
            if not self._try(ticket, waiter) and now - ticket.since >= machine.rules.patience:
                session.waiting.kept |= ticket.dimensions

    def _relieve(self, term: Term) -> bool:
        """Take back what is not used before somebody is refused; return whether something is free now."""
        machine, at = _machine(term), term.moment()
        if not machine.rules.relief or at.now - self._relieved < _RELIEF_MS:
            return False
        self._relieved = at.now
        command = Optimize(machine.rules.relief)
        found = optimisation.proposals(command, at, machine.tables, machine.rules)
        if found:
            term.propose(command, call=EFFECT, render=lambda _: b"")
        return any(each.kind is not Kind.RECLAIM for each in found)

    def _propose(self, asked: Asked, call: Call, term: Term) -> Proposal:
        """Decide; who waits has room made under no request id, whose record would be the answer for good."""
        render = partial(_render, single=_is_single(asked))
        if not asked.command.waits:
            return term.propose(asked.command, call=call, render=render)
        proposal = term.propose(replace(asked.command, makes_room=False), call=call, render=render)
        if proposal.duplicate or not _waits(pb.AllocateResponse.FromString(proposal.reply)):
            return proposal
        return term.propose(asked.command, call=call._replace(request_id=""), render=render)

    async def _wait(self, asked: Asked, call: Call, term: Term, refused: Proposal, time_left: float | None) -> Proposal:
        """Return the grant, or the last refusal when the time is over."""
        most_s = asked.wait / 1000
        if time_left is not None:
            most_s = min(most_s, max(0.0, time_left - _MARGIN_S))
        with self._waiting(asked, call, term) as waiter, contextlib.suppress(TimeoutError):
            self.serve_waiting(anyway=True)  # somebody may hold what it borrowed
            async with asyncio.timeout(most_s):
                return await waiter.answer
        # It may have been granted in the very moment in which the time was over.
        return waiter.answer.result() if waiter.answer.done() and not waiter.answer.cancelled() else refused

    @contextlib.contextmanager
    def _waiting(self, asked: Asked, call: Call, term: Term) -> Iterator[_Waiter]:
        session = _session(term)
        ticket = session.waiting.enter(asked.command, term.moment().now)
        waiter = self._waiters[ticket] = _Waiter(call, term, asyncio.get_running_loop().create_future())
        try:
            yield waiter
        finally:
            waiter.answer.cancel()
            del self._waiters[ticket]
            session.waiting.leave(ticket)

    def _try(self, ticket: Ticket, waiter: _Waiter) -> bool:
        """Ask again for one call; return whether it need not wait any more."""
        try:
            proposal = self._propose(Asked(ticket.command, 1), waiter.call, waiter.term)
        except Refusal as refusal:
            waiter.answer.set_exception(refusal)
            return True
        if not proposal.duplicate and _waits(pb.AllocateResponse.FromString(proposal.reply)):
            return False
        waiter.answer.set_result(proposal)
        _session(waiter.term).waiting.leave(ticket)
        return True

    def end(self) -> None:
        """End every waiting call: the leadership is over."""
        for waiter in self._waiters.values():
            if not waiter.answer.done():
                message = "the leadership of this replica ended; send the request again"
                waiter.answer.set_exception(Refusal("NO_LEADER", message, retry_after_ms=200))


def _is_single(asked: Asked) -> bool:
    return len(asked.command.owners) == 1 or asked.command.atomic


def _waits(response: pb.AllocateResponse) -> bool:
    """Tell whether waiting may help."""
    return bool(response.refused) and all(each.reason == "INSUFFICIENT_RESOURCES" for each in response.refused)


def _machine(term: Term) -> ResourcesMachine:
    return cast(ResourcesMachine, term.machine)


def _session(term: Term) -> Session:
    return cast(Session, term.session)


def _render(granted: Granted, *, single: bool) -> bytes:
    """Return the response; of what one call asks for again and again only the grants are counted."""
    refused = granted.shortages
    metrics.ALLOCATIONS.labels("granted").inc(sum(map(bool, granted.numbers)))
    if refused and not single:
        metrics.ALLOCATIONS.labels("refused").inc(len(refused))
    response = pb.AllocateResponse(
        epoch=epoch_message(granted.at.epoch), allocation_ids=granted.numbers, seq=granted.at.seq - 1
    )
    if any(granted.numbers):
        response.strategy = granted.strategy
        response.micros_per_hour = min(granted.rate, _MOST_MICROS)
        response.report_interval.CopyFrom(_REPORT_INTERVAL)
    for item, shortage in refused.items():
        response.refused.add(
            index=item, reason=shortage.reason, gaps=gap_messages(shortage.gaps), revoking=shortage.revoking
        )
    return response.SerializeToString()


def _refusal(response: pb.AllocateResponse) -> Refusal:
    """Return the status of one item, or of an atomic batch, that was refused."""
    metrics.ALLOCATIONS.labels("refused").inc(len(response.refused))
    first = response.refused[0]
    metadata = {"seq": str(response.seq), "item": str(first.index)}
    if first.revoking:
        metadata["revoking"] = str(first.revoking)
    failure = error_details_pb2.QuotaFailure()
    for gap in first.gaps[:_MOST_NAMED]:
        for name in ("available", "required", "gap", "bound", "most"):
            metadata[f"{gap.dimension}.{name}"] = str(getattr(gap, name))
        failure.violations.add(subject=f"{gap.bound}:{gap.dimension}", description=_missing(gap))
    message = _MESSAGES[first.reason] + "".join(f"; {each.description}" for each in failure.violations)
    retry_after_ms = _RETRY_MS if first.reason == "INSUFFICIENT_RESOURCES" else 0
    return Refusal(first.reason, message, metadata, retry_after_ms, details=(failure,) if first.gaps else ())


_MESSAGES = {
    "INSUFFICIENT_RESOURCES": "not enough is free; retry later, wait, or ask for less",
    "RESOURCE_LIMIT_EXCEEDED": "one owner may never hold that much; ask for less",
    "OWNER_RELEASED": "the owner was released and is granted nothing any more; use another owner",
    "COST_LIMIT_REACHED": "a cost limit is reached, and nothing more is granted; raise it",
    "POOL_NOT_FOUND": "no pool has that dimension and these labels; list the pools, or create one",
}


def _missing(gap: allocation_pb2.Gap) -> str:
    return f"{gap.dimension}: {gap.required} required, {gap.available} available"

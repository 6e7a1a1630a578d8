"""AcquireClaims: at once, or when what was in the way is gone.

A call that waits is asked again whenever something is given back, in the order of the line. It is granted on the tip
like any other, and answered when that is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from google.rpc import error_details_pb2

from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.machine.calls import Call
from tercio_common.machine.term import Proposal, Term
from tercio_common.rpc.fields import epoch_message
from tercio_conflicts import metrics
from tercio_conflicts.state.grants import Granted
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.waiting import Ticket
from tercio_conflicts.translate.claims import Asked, blocker_messages

_MARGIN_S = 0.25
"""Left of the caller's time for the answer itself."""
_RETRY_MS = 500


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    call: Call
    term: Term
    answer: asyncio.Future[Proposal]


class Acquiring:
    """Serves AcquireClaims."""

    def __init__(self) -> None:
        self._waiters: dict[Ticket, _Waiter] = {}
        self._returned = -1

    async def serve(
        self, asked: Asked, call: Call, term: Term, *, time_left: float | None
    ) -> bytes | pb.AcquireClaimsResponse:
        """Grant a batch in this term, and wait for it if that was asked; `time_left` is the caller's, in seconds.

        Raises:
            Refusal: see the contract.
        """
        try:
            proposal = self._propose(asked, call, term)
        except Refusal:
            await term.committed(term.tip.seq)
            raise
        if not asked.is_single:
            await term.committed(proposal.seq)
            reply: bytes = proposal.reply
            return reply
        response = pb.AcquireClaimsResponse.FromString(proposal.reply)
        if asked.wait and _waits(response):
            proposal = await self._wait(asked, call, term, proposal, time_left)
            response = pb.AcquireClaimsResponse.FromString(proposal.reply)
        await term.committed(proposal.seq)
        if response.refused:
            raise _refusal(response)
        return response

    def serve_waiting(self, _committed: int = 0, *, anyway: bool = False) -> None:
        """Ask again for every call that waits, the first to be served first, if something was given back."""
        if not self._waiters:
            return
        term = next(iter(self._waiters.values())).term
        returned = _machine(term).tables.holdings.returned
        if not anyway and returned == self._returned:
            return
        self._returned = returned
        for ticket in _session(term).waiting.in_line(term.moment().now):
            waiter = self._waiters.get(ticket)
            if waiter is not None and not waiter.answer.done():
                self._try(ticket, waiter)

    def refuse(self, ticket: Ticket) -> None:
        """Refuse a call that waits, so that others which wait for it may go on."""
        waiter = self._waiters.get(ticket)
        if waiter is None or waiter.answer.done():
            return
        metrics.DEADLOCKS.inc()
        message = "calls waited for each other in a cycle, and this one was chosen to end it; release, and start over"
        waiter.answer.set_exception(Refusal("DEADLOCK_VICTIM", message))
        _session(waiter.term).waiting.leave(ticket)
        self.serve_waiting(anyway=True)

    def end(self) -> None:
        """End every waiting call: the leadership is over."""
        for waiter in self._waiters.values():
            if not waiter.answer.done():
                message = "the leadership of this replica ended; send the request again"
                waiter.answer.set_exception(Refusal("NO_LEADER", message, retry_after_ms=200))

    def _propose(self, asked: Asked, call: Call, term: Term) -> Proposal:
        """Decide; who waits asks holders to yield under no request id, whose record would be the answer for good."""
        render = partial(_render, single=asked.is_single)
        if not (asked.wait and asked.command.preempts):
            return term.propose(asked.command, call=call, render=render)
        proposal = term.propose(replace(asked.command, preempts=False), call=call, render=render)
        if proposal.duplicate or not _waits(pb.AcquireClaimsResponse.FromString(proposal.reply)):
            return proposal
        return term.propose(asked.command, call=call._replace(request_id=""), render=render)

    async def _wait(self, asked: Asked, call: Call, term: Term, refused: Proposal, time_left: float | None) -> Proposal:
        """Return the grant, or the last refusal when the time is over."""
        most_s = asked.wait / 1000
        if time_left is not None:
            most_s = min(most_s, max(0.0, time_left - _MARGIN_S))
        with self._waiting(asked, call, term) as waiter, contextlib.suppress(TimeoutError):
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

    def _try(self, ticket: Ticket, waiter: _Waiter) -> None:
        """Ask again for one call."""
        try:
            proposal = self._propose(Asked(ticket.command, 1), waiter.call, waiter.term)
        except Refusal as refusal:
            waiter.answer.set_exception(refusal)
            return
        if not proposal.duplicate and _waits(pb.AcquireClaimsResponse.FromString(proposal.reply)):
            return
        waiter.answer.set_result(proposal)
        _session(waiter.term).waiting.leave(ticket)


def _waits(response: pb.AcquireClaimsResponse) -> bool:
    """Tell whether waiting may help."""
    return bool(response.refused) and all(each.reason == "CLAIM_CONFLICT" for each in response.refused)


def _machine(term: Term) -> ConflictsMachine:
    return cast(ConflictsMachine, term.machine)


def _session(term: Term) -> Session:
    return cast(Session, term.session)


def _render(granted: Granted, *, single: bool) -> bytes:
    """Return the response; of what one call asks for again and again only the grants are counted."""
    refused = granted.obstacles
    metrics.CLAIMS.labels("granted").inc(sum(map(bool, granted.numbers)))
    if refused and not single:
        metrics.CLAIMS.labels("refused").inc(len(refused))
    response = pb.AcquireClaimsResponse(
        epoch=epoch_message(granted.at.epoch), claim_ids=granted.numbers, seq=granted.at.seq - 1
    )
    for item, obstacle in refused.items():
        response.refused.add(
            index=item,
            reason=obstacle.reason,
            blockers=blocker_messages(obstacle.blockers),
            yielding=obstacle.yielding,
        )
    return response.SerializeToString()


def _refusal(response: pb.AcquireClaimsResponse) -> Refusal:
    """Return the status of one item, or of an atomic batch, that was refused."""
    metrics.CLAIMS.labels("refused").inc(len(response.refused))
    first = response.refused[0]
    metadata = {"seq": str(response.seq), "item": str(first.index)}
    if first.yielding:
        metadata["yielding"] = str(first.yielding)
    failure = error_details_pb2.PreconditionFailure()
    for blocker in first.blockers:
        failure.violations.add(
            type="CLAIM",
            subject=f"claims/{blocker.claim_id}" if blocker.claim_id else f"owners/{blocker.owner}",
            description=_in_the_way(blocker),
        )
    if first.blockers:
        metadata |= {"owner": first.blockers[0].owner, "claimId": str(first.blockers[0].claim_id)}
    message = _MESSAGES[first.reason] + "".join(f"; {each.description}" for each in failure.violations[:1])
    retry_after_ms = _RETRY_MS if first.reason == "CLAIM_CONFLICT" else 0
    return Refusal(first.reason, message, metadata, retry_after_ms, details=(failure,) if first.blockers else ())


_MESSAGES = {
    "CLAIM_CONFLICT": "something is in the way; retry later, wait, or claim something else",
    "CLAIM_LIMIT_EXCEEDED": "one owner may not hold that many claims; release some, or claim a glob",
    "OWNER_RELEASED": "the owner was released and is granted nothing any more; use another owner",
}


def _in_the_way(blocker: pb.Blocker) -> str:
    does = "holds" if blocker.claim_id else "waits for"
    return f"{blocker.owner} {does} {blocker.thing.name} ({Mode(blocker.mode).name})"

"""One term of leadership: the tip, the commit barrier and everything that runs only while leading.

The tip is the state with every decided command applied, durable or not. `propose` is the only caller of `decide`.
Nothing that it returns may leave the process before `committed` has returned for its sequence number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple, NoReturn

import structlog

from tercio_common.clock import Clock
from tercio_common.election.renewal import Renewal
from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.garbage import ROWS_SET_ASIDE, set_rows_aside
from tercio_common.journal.audit import AuditTrail
from tercio_common.journal.commit import Committer
from tercio_common.journal.feed import Feed, FeedEntry
from tercio_common.journal.port import Journal
from tercio_common.journal.replay import Position
from tercio_common.journal.requests import Requests
from tercio_common.machine.calls import Call, Peer
from tercio_common.machine.fleet_time import FleetTime
from tercio_common.machine.protocol import Codec, Moment, StateMachine
from tercio_common.machine.records import Encoded, encode_record
from tercio_common.machine.table import NO_CHANGES
from tercio_common.settings import HostSettings

_log = structlog.get_logger(__name__)


class Proposal(NamedTuple):
    """A command that was decided.

    Attributes:
        seq: the reply may leave once this sequence number is committed.
        reply: what `decide` replied, rendered if it was to be; the same bytes when the request had been carried out.
        duplicate: the request or frame was recorded before, and nothing was done now.
    """

    seq: int
    reply: Any
    duplicate: bool = False


class Term:
    """State and journal of one leadership, after replay."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        session: Any,
        codec: Codec,
        requests: Requests,
        feed: Feed,
        journal: Journal,
        clock: Clock,
        epoch: Epoch,
        renewal: Renewal,
        audit: AuditTrail,
        position: Position,
        settings: HostSettings,
        creates_work_refused: Callable[[], bool],
    ) -> None:
        """Begin after `position`."""
        self.machine, self.session, self.codec = machine, session, codec
        self.requests, self.feed, self.journal, self.clock, self.epoch = requests, feed, journal, clock, epoch
        self.renewal = renewal
        self.audit = audit
        self.draining = False
        self._settings = settings
        self._creates_work_refused = creates_work_refused
        self._time = FleetTime(clock=clock, now=position.now, wall=position.wall)
        self.tip = Moment(position.seq, self._time.now(), self._time.wall(), epoch, "")
        self.listeners: list[Callable[[int], None]] = []
        self.timer_changed = asyncio.Event()
        self.timer_armed_for: int | None = None
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap
        self._arrivals = count()
        self._unpublished: deque[tuple[FeedEntry, int]] = deque()
        self._fresh_rows = 0
        self._ended = False
        self._tip_lost = asyncio.Event()
        self.committer = Committer(
            journal=journal,
            epoch=epoch,
            clock=clock,
            segment=position.segment,
            seq=position.seq,
            cap_bytes=settings.commit_bytes,
            lazy_ms=settings.lazy_ms,
            may_release=renewal.may_release,
            on_commit=self._release,
        )

    def moment(self, principal: str = "") -> Moment:
        """Return the present moment, with the number that the next record would get."""
        seq, committed = self.tip.seq + 1, self.committer.committed
        return Moment(seq, self._time.now(), self._time.wall(), self.epoch, principal, committed)

    def propose(
        self, command: Any, *, call: Call, lazy: bool = False, render: Callable[[Any], bytes] | None = None
    ) -> Proposal:
        """Decide a command on the tip and queue its record.

        Raises:
            Refusal: the command changed nothing. What it says depends on the tip: `committed(tip.seq)` first.
        """
        self.check_open()
        if call.peer is not None:
            self.requests.peers.is_news(call.peer)
        at = self.moment(call.principal)
        known = self.requests.find(call, now=at.now)
        if known is not None:
            return Proposal(self.tip.seq, known.reply, duplicate=True)
        if call.session_id and self.requests.is_duplicate_frame(call):
            return Proposal(self.tip.seq, None, duplicate=True)
        self.machine.tables.begin()
        try:
            return self._decide(command, at, call=call, lazy=lazy, render=render)
        except Refusal:
            self._undo()
            raise
        except Exception as error:
            self._undo()
            _log.exception("command_failed", command=type(command).__name__, method=call.method, effect="undone")
            raise Refusal("INTERNAL", "the command failed unexpectedly; nothing was changed") from error

    def _decide(
        self, command: Any, at: Moment, *, call: Call, lazy: bool, render: Callable[[Any], bytes] | None
    ) -> Proposal:
        decision = self.machine.decide(command, at, self.session)
        if decision.creates_work and decision.events and self._creates_work_refused():
            raise Refusal("STORE_NEARLY_FULL", "the store is nearly full; new work is refused", retry_after_ms=5000)
        for event in decision.events:
            self.machine.apply(event, at)
        reply = decision.reply if render is None else render(decision.reply)
        if not decision.events and not call.session_id:
            return Proposal(self.tip.seq, reply)
        kept = reply if render is not None and call.request_id else b""
        events = [self.codec.encode_event(event) for event in decision.events]
        record = Encoded(at.seq, encode_record(at, call, reply=kept, events=events))
        if record.size > self._settings.commit_bytes:
            raise Refusal(
                "REQUEST_TOO_LARGE",
                f"the request makes a record of {record.size} bytes, at most {self._settings.commit_bytes} fit into a "
                "commit; split it",
            )
        due = self.machine.next_due()
        entry = FeedEntry(at.seq, at.now, at.wall, self.machine.tables.changes())
        # From here on nothing fails: a command that is queued cannot be undone, and a memory of requests that is
        # undone would forget in another order than a replay does.
        self.requests.remember(call, reply=kept, now=at.now)
        self._unpublished.append((entry, len(record.data)))
        self._fresh_rows += len(entry.changes)
        self.tip = at
        self.committer.add(record, lazy=lazy)
        self._rearm_timer(due)
        return Proposal(at.seq, reply)

    def _undo(self) -> None:
        """Undo the present command. What cannot be undone leaves a tip that no journal gives: nothing builds on it."""
        try:
            self.machine.tables.rollback()
        except Exception as error:
            _log.exception("undo_failed", effect="this replica steps down")
            self.end()
            self._tip_lost.set()
            raise _outcome_unknown() from error

    async def meet(self, peer: Peer, call: Call) -> None:
        """Return once the epoch for which `peer` calls is durably noted; only a rise makes a record.

        Raises:
            Refusal: STALE_EPOCH.
        """
        self.check_open()
        try:
            if not self.requests.peers.is_news(peer):
                return
        except Refusal:
            await self.committed(self.tip.seq)
            raise
        self.write_header(call._replace(peer=peer))
        await self.committed(self.tip.seq)

    def write_header(self, call: Call) -> None:
        """Record the time alone, so that an idle leader's fleet time is not lost with it."""
        at = self.moment(call.principal)
        self.machine.tables.begin()
        self.requests.remember(call, reply=b"", now=at.now)
        self._unpublished.append((FeedEntry(at.seq, at.now, at.wall, NO_CHANGES), 0))
        self.tip = at
        self.committer.add(Encoded(at.seq, encode_record(at, call, reply=b"", events=())), lazy=False)

    def check_open(self) -> None:
        """Raise DRAINING or NO_LEADER once no new commands are taken; that depends on no tip."""
        if self._ended:
            raise Refusal("NO_LEADER", "this replica does not lead any more; retry", retry_after_ms=200)
        if self.draining:
            raise Refusal("DRAINING", "this replica is stopping; send the request again", retry_after_ms=200)

    def check_may_release(self) -> None:
        """Raise OUTCOME_UNKNOWN unless this leader may still let something leave the process."""
        if self._ended or not self.renewal.may_release():
            raise _outcome_unknown()

    async def committed(self, seq: int) -> None:
        """Wait until `seq` is durable and may be released.

        Raises:
            Refusal: OUTCOME_UNKNOWN when the leadership ended first.
        """
        if seq > self.committer.committed and not self._ended:
            self.committer.flush()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heappush(self._waiters, (seq, next(self._arrivals), waiter))
            await waiter
        self.check_may_release()

    async def commit(self) -> None:
        """Commit until the leadership ends. Raises like `Committer.run`, and nothing leaves from that moment on."""
        try:
            await self.committer.run()
        finally:
            self.end()

    async def tip_lost(self) -> NoReturn:
        """Raise RuntimeError once a command could not be undone."""
        await self._tip_lost.wait()
        raise RuntimeError("a command could not be undone: the tip is not what the journal says")

    def end(self) -> None:
        """Fail everybody who waits: the leadership ended."""
        self._ended = True
        for _, _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        self.feed.close("the leadership of this replica ended; resume from the last cursor")

    def _release(self, committed: int) -> None:
        if self._fresh_rows >= ROWS_SET_ASIDE:
            self._fresh_rows = 0
            set_rows_aside()
        self.feed.publish_all(self._take_published(committed))
        for listener in self.listeners:
            listener(committed)
        waiters = self._waiters
        while waiters and waiters[0][0] <= committed:
            _, _, waiter = heappop(waiters)
            if not waiter.done():
                waiter.set_result(None)

    def _take_published(self, committed: int) -> Iterator[tuple[FeedEntry, int]]:
        while self._unpublished and self._unpublished[0][0].seq <= committed:
            yield self._unpublished.popleft()

    def _rearm_timer(self, due: int | None) -> None:
        if due is not None and (self.timer_armed_for is None or due < self.timer_armed_for):
            self.timer_armed_for = due
            self.timer_changed.set()


def _outcome_unknown() -> Refusal:
    return Refusal(
        "OUTCOME_UNKNOWN", "the leadership ended before the outcome was known; retry with the same request id",
        retry_after_ms=200,
    )  # fmt: skip

"""The host runs one service's machine: it campaigns, replays, leads, and steps down before its lease can end.

A replica that does not lead answers nothing by itself: the edge forwards to `leader`. Whatever the leader lets out has
passed `committed`: it is durable, and the lease had not ended when it was released.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import structlog

from tercio_common.background import Pauses, note_failure, run_for_ever
from tercio_common.clock import Clock
from tercio_common.election.port import Election, Leader, Leadership
from tercio_common.election.renewal import Renewal
from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.errors import FencedError, LeadershipLostError, Refusal, StoreError, StoreRestoredError
from tercio_common.journal.audit import AuditTrail, read_end
from tercio_common.journal.budget import Budget
from tercio_common.journal.feed import Feed
from tercio_common.journal.port import Journal
from tercio_common.journal.replay import Position, Replay
from tercio_common.journal.requests import Requests
from tercio_common.journal.snapshots import Snapshotter
from tercio_common.journal.space import SpaceGuard
from tercio_common.machine.calls import EFFECT, Call, Peer
from tercio_common.machine.protocol import Codec, ElectionWon, Moment, StateMachine
from tercio_common.machine.term import Proposal, Term
from tercio_common.machine.timers import Timers
from tercio_common.settings import HostSettings

T = TypeVar("T")
_RETRY_MS = 200
_ENDS_LEADERSHIP = (StoreError, Refusal)
"""What a runner raises when there is no leadership to go on with. Anything else is a defect of that runner alone."""
_log = structlog.get_logger(__name__)


class Host:
    """One replica of one service."""

    def __init__(
        self,
        *,
        name: str,
        machine: Callable[[], StateMachine],
        session: Callable[[Epoch], Any],
        codec: Codec,
        journal: Journal,
        election: Election,
        clock: Clock,
        settings: HostSettings,
        address: str,
        effects: Sequence[Callable[[Host], Awaitable[None]]] = (),
    ) -> None:
        """Prepare the replica; `run` starts it. Machine and session are made anew for each term."""
        self.name, self.address, self.clock = name, address, clock
        self._make_machine, self._make_session, self._codec = machine, session, codec
        self._journal, self._election, self._settings = journal, election, settings
        self._effects = effects
        self._listeners: list[Callable[[int], None]] = []
        self._term: Term | None = None
        self._stopped = asyncio.Event()
        self._pauses = Pauses(clock=clock)
        self.space = SpaceGuard(journal, clock=clock)
        self.budget = Budget(name, settings)
        self.leader: Leader | None = None
        self.epoch: Epoch = NO_EPOCH
        self._known_epoch: Epoch = NO_EPOCH
        self._outranked = asyncio.Event()

    @property
    def leading(self) -> bool:
        """True while this replica answers by itself."""
        return self._term is not None

    @property
    def machine(self) -> Any:
        """The tip. Raises like `propose` when this replica does not lead."""
        return self.term.machine

    @property
    def session(self) -> Any:
        """The session state of this term. Raises like `propose` when this replica does not lead."""
        return self.term.session

    @property
    def feed(self) -> Feed:
        """The feed of this term. Raises like `propose` when this replica does not lead."""
        return self.term.feed

    @property
    def committed_seq(self) -> int:
        """The last durable record."""
        return self.term.committer.committed

    @property
    def tip_seq(self) -> int:
        """The last decided record."""
        return self.term.tip.seq

    @property
    def term(self) -> Term:
        """The present term.

        Raises:
            Refusal: NO_LEADER when this replica does not lead.
        """
        if self._term is None:
            raise Refusal("NO_LEADER", "this replica does not lead; retry", retry_after_ms=500)
        return self._term

    def on_commit(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with the committed sequence number after each commit, in every term; it must be quick.

        What it raises is logged and counted: the commit has happened, and everybody else hears of it.
        """

        def notify(committed: int) -> None:
            try:
                listener(committed)
            except Exception:
                note_failure(_name_of(listener), consequence="it is called again after the next commit")

        self._listeners.append(notify)

    def moment(self) -> Moment:
        """Return the present moment. Raises like `propose`."""
        return self.term.moment()

    def may_release(self) -> bool:
        """Tell whether something that does not wait for a commit may leave the process now."""
        return self._term is not None and self._term.renewal.may_release()

    def propose(self, command: Any, *, call: Call, lazy: bool = False) -> Proposal:
        """Decide a command on the tip, at once. Raises `Refusal`; see `Term.propose`."""
        return self.term.propose(command, call=call, lazy=lazy)

    async def execute(self, command: Any, *, call: Call, render: Callable[[Any], bytes]) -> bytes:
        """Decide a command and return its rendered reply once it may leave the process.

        Raises:
            Refusal: also only once what it depends on is durable.
        """
        term = self.term
        term.check_open()
        try:
            proposal = term.propose(command, call=call, render=render)
        except Refusal:
            await term.committed(term.tip.seq)
            raise
        await term.committed(proposal.seq)
        reply: bytes = proposal.reply
        return reply

    async def read(self, view: Callable[[Any, Any, Moment], T]) -> T:
        """Look at the tip and return what was seen once it is durable. Raises `Refusal`."""
        term = self.term
        seq = term.tip.seq
        try:
            seen = view(term.machine, term.session, term.moment())
        except Refusal:
            await term.committed(seq)
            raise
        await term.committed(seq)
        return seen

    async def meet(self, peer: Peer, call: Call) -> None:
        """Take note of the epoch for which another service's leader calls. Raises `Refusal`; see `Term.meet`."""
        await self.term.meet(peer, call)

    def outranked(self, known: Epoch) -> None:
        """Step down: a peer has seen the epoch `known` of this role, which is higher than this leader's."""
        _log.warning("outranked", service=self.name, epoch=str(self.epoch), known=str(known), effect="steps down")
        self._known_epoch = max(self._known_epoch, known)
        if self._term is not None:
            self._outranked.set()

    async def committed(self, seq: int) -> None:
        """Wait until `seq` is durable and may be released. Raises `Refusal`."""
        await self.term.committed(seq)

    async def run(self) -> None:
        """Campaign and lead, over and over, until drained or cancelled.

        Raises:
            SettingsError: what the services may hold does not fit into the store.
        """
        self.budget = await self._unless_stopped(self._check_budget()) or self.budget
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._guarded(work, ())) for work in (self._observe, self.space.run)]
            try:
                while not self._stopped.is_set():
                    await self._campaign_and_lead()
                    _check_not_cancelled()
            finally:
                for helper in helpers:
                    helper.cancel()

    async def drain(self) -> None:
        """Refuse new commands, finish what was decided, and let `run` give up the role and return."""
        term = self._term
        if term is not None:
            term.draining = True
            with contextlib.suppress(Refusal):
                await term.committed(term.tip.seq)
        self._stopped.set()

    async def _check_budget(self) -> Budget:
        while True:
            try:
                quota = (await self._journal.space()).quota
            except StoreError as error:
                _log.warning("store_quota_unknown", service=self.name, error=str(error), effect="tries again")
                await self.clock.sleep_ms(_RETRY_MS)
            else:
                return Budget(self.name, self._settings, quota=quota).checked()

    async def _observe(self) -> None:
        async for leader in self._election.observe():
            self.leader = leader

    async def _campaign_and_lead(self) -> None:
        try:
            leadership = await self._unless_stopped(self._election.campaign(self.address))
        except StoreError as error:
            _log.warning("campaign_failed", service=self.name, error=str(error), effect="tries again")
            await self._pause(_RETRY_MS)
            return
        if leadership is None:
            return
        self.epoch = leadership.epoch
        if self.epoch < self._known_epoch:
            await self._election.resign(leadership)
            raise _restored(self.name, self.epoch, self._known_epoch)
        self._outranked.clear()
        renewal = Renewal(
            election=self._election, leadership=leadership, clock=self.clock, settings=self._settings.lease
        )
        is_defect = False
        try:
            await self._lead(leadership, renewal)
        except* _ENDS_LEADERSHIP as group:
            is_defect = group.subgroup(StoreError) is None
            reasons = [str(error) for error in group.exceptions]
            log = _log.info if self._stopped.is_set() else _log.warning
            log("stepped_down", service=self.name, epoch=str(leadership.epoch), reasons=reasons)
        except* Exception:
            is_defect = True
            note_failure(f"leadership of {self.name}", consequence="this replica steps down and stands again")
        finally:
            await self._election.resign(leadership)
        if is_defect:
            # It would end the next leadership in the same breath, and so for ever.
            await self._pause(self._pauses.next_ms())

    async def _lead(self, leadership: Leadership, renewal: Renewal) -> None:
        """Lead until something ends it, always by an exception but for a drain."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_forever(renewal.run))
            term, position = await self._take_over(leadership, renewal)
            try:
                await self._serve(term, position, group)
            finally:
                self._term = None
                term.end()

    async def _take_over(self, leadership: Leadership, renewal: Renewal) -> tuple[Term, Position]:
        while True:
            try:
                return await self._replay(leadership, renewal)
            except StoreError as error:
                # A gap is a snapshot that was put into force meanwhile; should one stay, the log tells.
                _log.warning("replay_failed", service=self.name, error=str(error), effect="tries again")
                await self.clock.sleep_ms(_RETRY_MS)

    async def _replay(self, leadership: Leadership, renewal: Renewal) -> tuple[Term, Position]:
        settings = self._settings
        machine = self._make_machine()
        feed = Feed(ring_bytes=settings.feed_bytes, lag_bytes=settings.lag_bytes)
        requests = Requests(
            machine.tables,
            window_ms=settings.request_window_ms,
            retry_age_ms=settings.retry_age_ms,
            limit=settings.request_limit,
            session_window_ms=settings.session_window_ms,
        )
        replay = Replay(machine=machine, codec=self._codec, requests=requests, feed=feed)
        position = await replay.run(self._journal, fence=leadership.epoch)
        term = Term(
            machine=machine,
            session=self._make_session(leadership.epoch),
            codec=self._codec,
            requests=requests,
            feed=feed,
            journal=self._journal,
            clock=self.clock,
            epoch=leadership.epoch,
            renewal=renewal,
            audit=await self._open_trail(leadership.epoch),
            position=position,
            settings=settings,
            creates_work_refused=lambda: self.space.nearly_full,
        )
        term.listeners = self._listeners
        return term, position

    async def _open_trail(self, epoch: Epoch) -> AuditTrail:
        return AuditTrail(
            end=await read_end(self._journal, epoch=epoch),
            journal=self._journal,
            codec=self._codec,
            epoch=epoch,
            clock=self.clock,
            most_bytes=self.budget.audit_bytes,
            most_ms=self._settings.audit_ms,
        )

    async def _serve(self, term: Term, position: Position, group: asyncio.TaskGroup) -> None:
        term.propose(ElectionWon(), call=EFFECT)
        self._term = term
        self.leader = Leader(term.epoch, self.address)
        _log.info("leading", service=self.name, epoch=str(term.epoch), seq=position.seq)
        snapshotter = Snapshotter(
            term,
            threshold_bytes=self._settings.snapshot_bytes,
            last_bytes=position.snapshot_bytes,
            uncovered_bytes=position.journal_bytes,
            tail_ms=self._settings.tail_ms,
            tail_bytes=self.budget.tail_bytes,
        )
        timers = Timers(term, idle_commit_ms=self._settings.idle_commit_ms)
        restartable = [timers.run, snapshotter.run, *(_bound(effect, self) for effect in self._effects)]
        tasks = [group.create_task(self._guarded(work, _ENDS_LEADERSHIP)) for work in restartable]
        # What a failed commit took from the queue cannot be committed later: that ends the leadership.
        tasks += [group.create_task(_forever(term.commit)), group.create_task(term.tip_lost())]
        stopped = group.create_task(self._stopped.wait())
        outranked = group.create_task(self._outranked.wait())
        await asyncio.wait([*tasks, stopped, outranked], return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            raise LeadershipLostError("this replica was drained")
        if outranked.done():
            raise LeadershipLostError(f"a peer has seen epoch {self._known_epoch} of this role")

    async def _guarded(self, work: Callable[[], Awaitable[None]], ended_by: tuple[type[Exception], ...]) -> None:
        await run_for_ever(_name_of(work), work, clock=self.clock, ended_by=ended_by)

    async def _pause(self, duration_ms: int) -> None:
        await self._unless_stopped(self.clock.sleep_ms(duration_ms))

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what `work` gives; None when this replica was drained first, and then `work` is cancelled."""
        doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            doing.cancel()
            stopped.cancel()
            await asyncio.gather(doing, stopped, return_exceptions=True)
        return None if doing.cancelled() else doing.result()


def _bound(effect: Callable[[Host], Awaitable[None]], host: Host) -> Callable[[], Awaitable[None]]:
    """Return the effect on this host, under its own name."""
    return functools.update_wrapper(functools.partial(effect, host), effect)


def _name_of(work: Callable[..., Any]) -> str:
    return getattr(work, "__qualname__", repr(work))


def _restored(name: str, epoch: Epoch, known: Epoch) -> StoreRestoredError:
    """Return why this process stops: the store gave an epoch that is over, so it is not the store that it was."""
    message = (
        f"the store gave {name} epoch {epoch}, but a peer has seen {known}: it was restored or replaced; run "
        "`tercio store new-generation` and start this process again"
    )
    _log.error("store_restored", service=name, epoch=str(epoch), known=str(known), effect="stops", fix=message)
    return StoreRestoredError(message)


def _check_not_cancelled() -> None:
    """Raise a cancellation that came while the leadership was ending: Python 3.11's task group keeps it to itself."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    await work()
    raise FencedError("a task that should run for ever returned")

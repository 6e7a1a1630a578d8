"""Asks for what attempts need, many in one call, without ever waiting for it.

The attempts are durable before they are asked for. The participants are asked one after the other: what one refuses is
not asked of the next, and whoever holds a part only is given up, so that nobody waits while holding something that
others wait for. What comes of a call whose answer is lost is not known, so those attempts are given up as well: their
release is owed, and others are tried. A participant that is away holds up only those who need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Sized
from contextlib import AsyncExitStack
from typing import Final

import structlog

from tercio.rpc.backoff import Backoff
from tercio.rpc.errors import CallError, DeadlineExceededError, UnavailableError
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.peers import note_refusal
from tercio_scheduler.effects.participants.port import Link, Participant
from tercio_scheduler.state.commands import Admissions, SettleAdmissions, StartAdmissions
from tercio_scheduler.state.participants import asked_for
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.shortages import Shortage, Shortages

_LOOK_MS: Final = 250
"""While tasks wait for what they need: agents that come or get room cause no commit."""
_IDLE_MS: Final = 10_000
_SILENCE_MS: Final = 30_000
_log = structlog.get_logger(__name__)


class Admitter:
    """The effect, and the way to wake it."""

    def __init__(self, participants: Sequence[Participant]) -> None:
        """Ask these, in this order."""
        self._participants = participants
        self._wanted = asyncio.Event()
        self._waiting: Sized = ()

    def poke(self) -> None:
        """Look for something to ask for in the next turn of the loop."""
        self._wanted.set()

    def committed(self, _seq: int) -> None:
        """A commit has passed: what it made wait may be asked for."""
        if self._waiting:
            self._wanted.set()

    async def run(self, host: Host) -> None:
        """Admit for as long as the leadership lasts."""
        backoff, self._waiting = Backoff(), host.machine.tables.index.admitting
        self._wanted.set()
        async with AsyncExitStack() as stack:
            reached = {
                each.name: _Reached(each.name, await stack.enter_async_context(each.connect(host)))
                for each in self._participants
            }
            while True:
                await self._wait(host)
                try:
                    while await _admit(reached, host):
                        backoff.reset()
                except Refusal as refusal:
                    _log.warning("admission_refused", reason=refusal.reason, effect="tries again")
                    await host.clock.sleep_ms(backoff.next_ms(at_least_ms=refusal.retry_after_ms))

    async def _wait(self, host: Host) -> None:
        looking = asyncio.ensure_future(host.clock.sleep_ms(_LOOK_MS if self._waiting else _IDLE_MS))
        waking = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait((looking, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            waking.cancel()
        self._wanted.clear()


class _Reached:
    """One participant, and when it may be asked again after it did not grant anything."""

    def __init__(self, name: str, link: Link) -> None:
        self.name, self.link = name, link
        self._backoff = Backoff()

    async def ask(self, saga: Round, host: Host, *, request_id: str) -> None:
        """Ask for those who need it; when it does not answer, they are given up and it is left alone for a while."""
        session: SchedulerSession = host.session
        try:
            await saga.ask(self.name, self.link, request_id=request_id)
        except CallError as error:
            _log.info("admission_failed", participant=self.name, error=str(error), effect="tries other attempts")
            note_refusal(error, host=host)
            # Where nobody answers, a try costs everybody else time; the watch of its changes hears of it sooner.
            is_silent = isinstance(error, UnavailableError | DeadlineExceededError)
            pause_ms = _SILENCE_MS if is_silent else self._backoff.next_ms(at_least_ms=error.retry_after_ms)
            session.away[self.name] = host.moment().now + pause_ms
        else:
            self._backoff.reset()


async def _admit(reached: Mapping[str, _Reached], host: Host) -> bool:
    """Carry one batch through; return whether there was anything to ask for.

    Raises:
        Refusal: the leadership ended, or the store is full.
    """
    if not host.machine.tables.index.admitting or not host.may_release():
        return False
    session: SchedulerSession = host.session
    now = host.moment().now
    participants = [name for name in reached if now >= session.away.get(name, 0)]
    proposal = host.propose(StartAdmissions(participants=participants), call=EFFECT)
    asked: Admissions = proposal.reply
    if not asked.keys:
        return False
    await host.committed(proposal.seq)
    saga = Round(asked, session.shortages)
    for name in participants:
        await reached[name].ask(saga, host, request_id=f"admit-{host.epoch}-{proposal.seq}")
    host.propose(saga.settled(), call=EFFECT)
    return True


class Round:
    """One batch on its way through the participants."""

    def __init__(self, asked: Admissions, shortages: Shortages) -> None:
        """Begin with nobody asked; what is short is noted in `shortages`."""
        self._asked, self._shortages = asked, shortages
        self._left = dict.fromkeys(range(len(asked.keys)))
        """Places of those whom nobody has refused."""
        self._holding: set[int] = set()
        self._refusals: dict[int, Shortage] = {}
        self._unknown: list[int] = []

    async def ask(self, participant: str, link: Link, *, request_id: str) -> None:
        """Ask one participant for those who need it.

        Raises:
            CallError: nobody knows what became of them; they are given up.
        """
        keys, needs = self._asked
        places = [place for place in self._left if participant in asked_for(needs[place])]
        if not places:
            return
        asked_keys, asked_needs = [keys[place] for place in places], [needs[place] for place in places]
        try:
            refusals = await link.ask(asked_keys, asked_needs, request_id=request_id)
        except CallError:
            self._unknown += places
            for place in places:
                del self._left[place]
            raise
        for offset, place in enumerate(places):
            if offset in refusals:
                self._refusals[place] = refusals[offset]
                del self._left[place]
            else:
                self._holding.add(place)

    def settled(self) -> SettleAdmissions:
        """Return what became of them, and note what was short."""
        keys, needs = self._asked
        for place in self._left:
            self._shortages.granted(needs[place])
        for place, shortage in self._refusals.items():
            self._shortages.note(needs[place], shortage)
        parts = [place for place in self._refusals if place in self._holding]
        return SettleAdmissions(
            granted=tuple([keys[place] for place in self._left]),
            refused=tuple([keys[place] for place in self._refusals if place not in self._holding]),
            given_up=tuple([keys[place] for place in (*parts, *self._unknown)]),
        )

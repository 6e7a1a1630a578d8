"""Asks for what attempts need, many in one call, without ever waiting for it.

The attempts are durable before they are asked for. The participants are asked one after the other: what one refuses is
not asked of the next, and whoever holds a part only is given up, so that nobody waits while holding something that
others wait for. What comes of a call whose answer is lost is not known, so those attempts are given up as well: their
release is owed, and others are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Sized
from contextlib import AsyncExitStack
from typing import Final

import structlog

from tercio.rpc.backoff import Backoff
from tercio.rpc.errors import CallError
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
            links = {each.name: await stack.enter_async_context(each.connect(host)) for each in self._participants}
            while True:
                await self._wait(host)
                try:
                    while await _admit(links, host):
                        backoff.reset()
                except CallError as error:
                    _log.info("admission_failed", error=str(error), effect="tries other attempts")
                    note_refusal(error, host=host)
                    await host.clock.sleep_ms(backoff.next_ms(at_least_ms=error.retry_after_ms))
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


async def _admit(links: dict[str, Link], host: Host) -> bool:
    """Carry one batch through; return whether there was anything to ask for.

    Raises:
        CallError: nobody knows what became of it; it is given up.
        Refusal: the leadership ended, or the store is full.
    """
    if not host.machine.tables.index.admitting or not host.may_release():
        return False
    proposal = host.propose(StartAdmissions(participants=links.keys()), call=EFFECT)
    asked: Admissions = proposal.reply
    if not asked.keys:
        return False
    await host.committed(proposal.seq)
    session: SchedulerSession = host.session
    saga = Round(asked, session.shortages)
    try:
        for name, link in links.items():
            await saga.ask(name, link, request_id=f"admit-{host.epoch}-{proposal.seq}")
    except CallError:
        host.propose(saga.settled(all_known=False), call=EFFECT)
        raise
    host.propose(saga.settled(all_known=True), call=EFFECT)
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

    async def ask(self, participant: str, link: Link, *, request_id: str) -> None:
        """Ask one participant for those who need it; raises CallError."""
        keys, needs = self._asked
        places = [place for place in self._left if participant in asked_for(needs[place])]
        if not places:
            return
        asked_keys, asked_needs = [keys[place] for place in places], [needs[place] for place in places]
        refusals = await link.ask(asked_keys, asked_needs, request_id=request_id)
        for offset, place in enumerate(places):
            if offset in refusals:
                self._refusals[place] = refusals[offset]
                del self._left[place]
            else:
                self._holding.add(place)

    def settled(self, *, all_known: bool) -> SettleAdmissions:
        """Return what became of them, and note what was short; unless all is known, the rest is given up."""
        keys, needs = self._asked
        if all_known:
            for place in self._left:
                self._shortages.granted(needs[place])
        for place, shortage in self._refusals.items():
            self._shortages.note(needs[place], shortage)
        parts = [keys[place] for place in self._refusals if place in self._holding]
        left = tuple([keys[place] for place in self._left])
        return SettleAdmissions(
            granted=left if all_known else (),
            refused=tuple([keys[place] for place in self._refusals if place not in self._holding]),
            given_up=(*parts, *(() if all_known else left)),
        )

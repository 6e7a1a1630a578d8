"""Drives the timers of the pure state: a `Tick` when the earliest is due, and a header now and then."""

from __future__ import annotations

import asyncio

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.calls import TIMER
from tercio_common.machine.protocol import Tick
from tercio_common.machine.term import Term

_IDLE_PAUSE_MS = 100
"""After a tick that did nothing: what is due depends on the session, look again soon."""
_LONGEST_SLEEP_MS = 1_000
_PASSING = frozenset({"DRAINING", "NO_LEADER", "OUTCOME_UNKNOWN"})
"""Refusals that are not the timer's own: any other would come for ever, and the timers behind it starve."""
_log = structlog.get_logger(__name__)


class Timers:
    """The timers of one leadership."""

    def __init__(self, term: Term, *, idle_commit_ms: int) -> None:
        """Write a header when timers are pending and nothing was recorded for `idle_commit_ms`."""
        self._term = term
        self._idle_commit_ms = idle_commit_ms
        self._alone = 0

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            await self._sleep(self.tick())

    def tick(self) -> int:
        """Handle what is due; return how long to sleep, in ms."""
        term = self._term
        due = term.machine.next_due()
        now = term.moment().now
        if due is None:
            return _LONGEST_SLEEP_MS
        if due > now:
            if now - term.tip.now >= self._idle_commit_ms:
                term.write_header(TIMER)
            return min(due - now, _LONGEST_SLEEP_MS)
        before = term.tip.seq
        try:
            term.propose(Tick(limit=1) if self._alone else Tick(), call=TIMER)
        except Refusal as refusal:
            if refusal.reason in _PASSING:
                return _IDLE_PAUSE_MS
            self._narrow_down(refusal)
            return 0
        self._alone = max(0, self._alone - 1)
        return 0 if term.tip.seq > before else _IDLE_PAUSE_MS

    def _narrow_down(self, refusal: Refusal) -> None:
        """Set the timer aside that failed; of several that fired together nobody knows which, so they fire alone."""
        if not self._alone:
            self._alone = Tick().limit
            return
        self._alone = 0
        timer = self._term.machine.set_aside_due()
        _log.error("timer_set_aside", timer=timer, reason=str(refusal), effect="it does not fire in this term")

    async def _sleep(self, duration: int) -> None:
        term = self._term
        if duration == 0:
            await asyncio.sleep(0)
            return
        term.timer_armed_for = term.moment().now + duration
        term.timer_changed.clear()
        sleeping = asyncio.ensure_future(term.clock.sleep_ms(duration))
        woken = asyncio.ensure_future(term.timer_changed.wait())
        try:
            await asyncio.wait({sleeping, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            woken.cancel()

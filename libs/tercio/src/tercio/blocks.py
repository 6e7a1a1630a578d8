"""What a process has of one budget: leased in blocks, so that hardly a call asks for its tokens. No I/O, no clock.

A call counts as spent when it begins. So nothing is held while it waits for something else, and whoever waits for a
child's tokens waits for time to pass, never for its parent.
"""

from __future__ import annotations

from typing import Final, NamedTuple

IDLE_MS: Final = 2_000
"""Who has not spent anything for this long gives its block back."""
_WINDOW_MS: Final = 2_000
"""What was spent in this time is asked for in advance."""


class Amount(NamedTuple):
    """Tokens and requests."""

    tokens: int = 0
    requests: int = 0

    def plus(self, other: Amount, sign: int = 1) -> Amount:
        """Return the sum, or with a sign of -1 the difference."""
        return Amount(self.tokens + sign * other.tokens, self.requests + sign * other.requests)

    def covers(self, other: Amount) -> bool:
        """Tell whether it is at least the other."""
        return self.tokens >= other.tokens and self.requests >= other.requests


NOTHING: Final = Amount()


class Report(NamedTuple):
    """What is said of a budget: what was spent and refunded since the last report, and what is needed and useful."""

    spent: Amount
    refunded: Amount
    need: Amount
    want: Amount


class Block:
    """What is left of a budget here. Times in ms of one clock that never goes back."""

    def __init__(self) -> None:
        self.left = NOTHING
        self.frozen_until = 0
        self.number = 1
        """Of the block: whoever lost count of one goes on with another, as another holder."""
        self._spent = NOTHING
        self._owed = NOTHING
        self._refunded = NOTHING
        self._ends = 0
        self._used_at = 0
        self._window = 0
        self._in_window = NOTHING
        self._in_last_window = NOTHING

    def take(self, need: Amount, now: int) -> bool:
        """Spend what a call needs, if it is here."""
        self._expire(now)
        if now < self.frozen_until or not self.left.covers(need):
            return False
        self.left = self.left.plus(need, -1)
        self._spent = self._spent.plus(need)
        self._note_use(need, now)
        return True

    def correct(self, reserved: Amount, used: Amount, now: int) -> None:
        """Settle the difference between what a call took and what it used."""
        self._expire(now)
        over = Amount(max(0, used.tokens - reserved.tokens), max(0, used.requests - reserved.requests))
        under = used.plus(over, -1).plus(reserved, -1)
        under = Amount(-under.tokens, -under.requests)
        # What is left here pays first; of the rest the service makes a debt.
        paid = Amount(min(self.left.tokens, over.tokens), min(self.left.requests, over.requests))
        self.left, self._spent = self.left.plus(paid, -1), self._spent.plus(paid)
        self._owed = self._owed.plus(over).plus(paid, -1)
        if self._spent.covers(under):
            self._spent = self._spent.plus(under, -1)
            self.left = self.left.plus(under)
        else:
            self._refunded = self._refunded.plus(under)

    def freeze(self, until: int) -> None:
        """Spend nothing until then: the provider refused a call."""
        self.frozen_until = max(self.frozen_until, until)

    def report(self, need: Amount, waiting: Amount, now: int) -> Report:
        """Say what is to be told, and consider it told; `waiting` is what all calls that wait need together."""
        self._expire(now)
        self._turn_window(now)
        useful = max(self._in_window, self._in_last_window)
        told = Report(
            self._spent.plus(self._owed), self._refunded, need, waiting.plus(useful) if need != NOTHING else NOTHING
        )
        self._spent = self._owed = self._refunded = NOTHING
        return told

    def answered(self, leased: Amount, *, sent: int, ttl: int) -> None:
        """Take in what was leased beyond the need; the time to spend it counts from before the report was sent."""
        self.left = self.left.plus(leased)
        self._ends = sent + ttl

    def met(self, need: Amount, now: int) -> None:
        """Note that a need was met, which the service counts as spent already."""
        self._note_use(need, now)

    def drop(self) -> None:
        """Forget everything: nobody knows what came of a report. The service counts what was leased as spent."""
        self.number += 1
        self.left = self._spent = self._owed = self._refunded = NOTHING

    @property
    def is_told(self) -> bool:
        """True when there is nothing to report or to give back."""
        return self.left == self._spent == self._owed == self._refunded == NOTHING

    def is_idle(self, now: int) -> bool:
        """Tell whether nothing was spent for a while."""
        return now - self._used_at >= IDLE_MS

    def _expire(self, now: int) -> None:
        if now >= self._ends and (self.left != NOTHING or self._spent != NOTHING):
            self.number += 1
            self.left = self._spent = NOTHING  # the service counts all of the block as spent

    def _note_use(self, need: Amount, now: int) -> None:
        self._turn_window(now)
        self._used_at = now
        self._in_window = self._in_window.plus(need)

    def _turn_window(self, now: int) -> None:
        window = now // _WINDOW_MS
        if window != self._window:
            self._in_last_window = self._in_window if window == self._window + 1 else NOTHING
            self._window, self._in_window = window, NOTHING

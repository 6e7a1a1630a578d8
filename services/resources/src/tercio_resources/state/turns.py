"""Whose turn it is while a budget has not enough for everybody.

Each holder says what its next call needs and is given all of it or nothing: parts of a need would let everybody hold
something and nobody go on. Those that wait are looked at in the order of their tags. Whoever is held up by a lower
level holds up nobody above it. What is left when every need is met is shared out in advance.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from typing import Final

from tercio_resources.state import meters
from tercio_resources.state.books import Books
from tercio_resources.state.budget_commands import Ask
from tercio_resources.state.budget_rows import Spending
from tercio_resources.state.demands import Demand, Outcome

_SOONEST_MS: Final = 20
_LATEST_MS: Final = 5_000
"""Holders ask at least this often: others may leave the line, or give something back."""
_LATEST_FROZEN_MS: Final = 60_000
_LAST: Final = 2**63


def take_turn(ask: Ask, holder: str, books: Books, waiting: Mapping[tuple[str, str], Demand], now: int) -> Outcome:
    """Decide what a holder is leased at `now`, seeing who else waits for its account."""
    path = books.path(ask.budget_id)
    account = path[-1]
    if any(meters.bursts(budget).least(ask.need) != ask.need for budget in path):
        return Outcome(reason="RESOURCE_LIMIT_EXCEEDED")
    affordable = min(meters.affordable(books.meter(budget), budget, account.price) for budget in path)
    if affordable < max(1, ask.need.tokens):
        return Outcome(reason="BUDGET_SPENT")
    before = waiting.get((ask.budget_id, holder))
    tag = before.tag if before is not None else books.tag(books.block(ask.budget_id, holder), account)
    if account.frozen_until > now:
        wait = min(account.frozen_until - now, _LATEST_FROZEN_MS)
        return Outcome(reason="INSUFFICIENT_RESOURCES", retry_after=wait, tag=tag)
    own = Demand(tag, before.since if before is not None else _LAST, ask.budget_id, holder, ask.need)
    others = sorted(each for key, each in waiting.items() if key != (ask.budget_id, holder))
    line, place = _Line(books), bisect(others, own)
    for each in others[:place]:
        if line.enter(each) > _LATEST_MS and each.budget_id == account.budget_id:
            break  # whoever comes later asks again when that is over
    if wait := line.enter(own):
        return Outcome(reason="INSUFFICIENT_RESOURCES", retry_after=max(_SOONEST_MS, min(wait, _LATEST_MS)), tag=tag)
    if any(line.enter(each) for each in others[place:]):
        return Outcome()
    more = Spending(max(0, ask.want.tokens - ask.need.tokens), max(0, ask.want.requests - ask.need.requests))
    extra = more.least(line.spare(ask.budget_id, share=2 + len(others)))
    return Outcome(extra.least(Spending(affordable - ask.need.tokens, meters.UNBOUNDED)))


class _Level:
    """What is left of one budget after those who were looked at."""

    __slots__ = ("left", "rates")

    def __init__(self, left: Spending, rates: Spending) -> None:
        self.left, self.rates = left, rates


class _Line:
    """What is left on each level after those who were looked at. Hundreds are, for each that asks."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._levels: dict[str, _Level] = {}
        self._paths: dict[str, tuple[_Level, ...]] = {}

    def enter(self, demand: Demand) -> int:
        """Keep what a holder needs; return after how many ms it is there, 0 if it is."""
        tokens, requests = demand.need
        path = self._path(demand.budget_id)
        short = [level for level in path if level.left[0] < tokens or level.left[1] < requests]
        for level in short or path:
            level.left = Spending(level.left[0] - tokens, level.left[1] - requests)
        return max(map(_time_to_fill, short)) if short else 0

    def spare(self, budget_id: str, *, share: int) -> Spending:
        """Return one of so many shares of what nobody needs."""
        rest = [level.left for level in self._path(budget_id)]
        return Spending(*(max(0, min(amounts)) // share for amounts in zip(*rest, strict=True)))

    def _path(self, budget_id: str) -> tuple[_Level, ...]:
        found = self._paths.get(budget_id)
        if found is None:
            path = self._books.path(budget_id)
            for budget in path:
                if budget.budget_id not in self._levels:
                    left = meters.left(self._books.meter(budget), budget)
                    self._levels[budget.budget_id] = _Level(left, budget.rates)
            found = self._paths[budget_id] = tuple(self._levels[budget.budget_id] for budget in path)
        return found


def _time_to_fill(level: _Level) -> int:
    """Return after how many ms what is below 0 is made up for."""
    (tokens, requests), (token_rate, request_rate) = level.left, level.rates
    waits_tokens = -(tokens * meters.PARTS // token_rate) if tokens < 0 else 0
    return max(waits_tokens, -(requests * meters.PARTS // request_rate) if requests < 0 else 0)

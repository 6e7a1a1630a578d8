"""Who waits for a budget, and what became of what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tercio_resources.state.budget_commands import Ask
from tercio_resources.state.budget_rows import NOTHING_SPENT, Spending

_PLACE_KEPT_MS: Final = 2_000
"""From when a holder should ask again to when it is thought to be gone."""


class Demand(NamedTuple):
    """What a holder waits for; sorts by whose turn it is.

    Attributes:
        tag: of the holder when it began to wait.
        since: rises with the demands, for those with equal tags.
        until: when it is thought to be gone, in ms of fleet time.
    """

    tag: int
    since: int
    budget_id: str
    holder: str
    need: Spending
    until: int = 0


class Outcome(NamedTuple):
    """What became of a demand: without a reason the need is met. `retry_after` is in ms."""

    leased: Spending = NOTHING_SPENT
    reason: str = ""
    retry_after: int = 0
    tag: int = 0


class Demands:
    """Who waits, by account: session state, which the edge writes."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[tuple[str, str], Demand]] = {}
        self._noted = 0

    def follow(self, account_id: str, holder: str, ask: Ask, outcome: Outcome, now: int) -> None:
        """Let who was refused wait, at the place that it had if it waited already; who was served leaves."""
        waiting = self._waiting.setdefault(account_id, {})
        key = ask.budget_id, holder
        before = waiting.pop(key, None)
        if outcome.reason == "INSUFFICIENT_RESOURCES":
            self._noted += 1
            since = before.since if before is not None else self._noted
            until = now + outcome.retry_after + _PLACE_KEPT_MS
            waiting[key] = Demand(outcome.tag, since, ask.budget_id, holder, ask.need, until)

    def of(self, account_id: str, now: int) -> Mapping[tuple[str, str], Demand]:
        """Return who waits for an account, by budget and holder."""
        return {key: each for key, each in self._waiting.get(account_id, {}).items() if each.until > now}

    def prune(self, now: int) -> None:
        """Forget who has not asked again."""
        self._waiting = {account: kept for account in self._waiting if (kept := dict(self.of(account, now)))}

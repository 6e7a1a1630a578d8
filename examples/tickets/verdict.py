"""Whether the demo showed what it is there to show, and what it failed to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from examples.tickets.disputes import Disputes
from examples.tickets.growth import Growth
from examples.tickets.pools import Return
from examples.tickets.regression import Regression
from examples.tickets.relief import Relief
from examples.tickets.strike import Recovery

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a run.

    Attributes:
        solved, total: tickets.
        recovery: the killed agent's ticket in other hands.
        relief: the deaf agent found, and its ticket in other hands.
        regression: the bad configuration given up, and the agent at work again.
        disputes: conflicts that were found and resolved, one of each kind.
        returned: what the killed agent held, free again.
        growth: how many agents the pools had.
        whole: nothing is held in the end, and every worktree is ready.
        spent: tokens of the budget.
    """

    solved: int
    total: int
    recovery: Recovery | None
    relief: Relief | None
    regression: Regression | None
    disputes: Disputes | None
    returned: Return | None
    growth: Growth
    whole: bool
    spent: int

    @property
    def shortfalls(self) -> list[str]:
        """What is not as it has to be, a sentence each; nothing when the demo succeeded."""
        found: list[str] = []
        if self.recovery is None:
            found.append("no agent was struck in the middle of a ticket that another then solved")
        if not self.growth.is_shown:
            found.append(f"the pools of agents did not grow under the tickets and shrink after them: {self.growth}")
        if self.returned is None:
            found.append("what the killed agent held did not come back")
        if not self.whole:
            found.append("something is held in the end, or a worktree is not ready")
        if not self.spent:
            found.append("no tokens were spent")
        if self.relief is None:
            found.append("the deaf agent was not found and relieved of its ticket")
        if self.regression is None:
            found.append("the bad configuration was not rolled back by itself")
        if self.disputes is None:
            found.append("agents that disagree, and tickets that collide, were not settled")
        if self.solved < self.total:
            found.append(f"{self.total - self.solved} tickets were not solved")
        return found

    @property
    def exit_code(self) -> int:
        """0 when nothing is missing."""
        return 1 if self.shortfalls else 0


def result_of(following: asyncio.Task[T]) -> T | None:
    """Return what was followed to its end; None when it was given up, or failed."""
    return None if following.cancelled() or following.exception() else following.result()


def why_failed(following: Sequence[asyncio.Task[object]]) -> list[str]:
    """Return what those raised that failed."""
    ended = [task for task in following if task.done() and not task.cancelled()]
    return [f"{type(error).__name__}: {error}" for task in ended if (error := task.exception()) is not None]

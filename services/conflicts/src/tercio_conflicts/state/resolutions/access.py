"""What the strategies of contention share: who wants a thing, and in which order they get it."""

from __future__ import annotations

from typing import NamedTuple

from tercio_conflicts.state.dispute_rows import ConflictRow
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.situation import Situation, Wait, Work


class Contenders(NamedTuple):
    """Who is in a contention, the first to have access first.

    Attributes:
        claims: that are held, the one that stays first.
        waits: for them, the first to be served first.
        works: what the agents work on without a claim, the one that goes on first.
    """

    claims: tuple[ClaimRow, ...]
    waits: tuple[Wait, ...]
    works: tuple[Work, ...]

    @property
    def priority(self) -> int:
        """Return the highest priority of anybody who is kept waiting."""
        waiting = [each.priority for each in self.waits] + [row.terms.priority for row in self.claims[1:]]
        return max([*waiting, *(work.priority for work in self.works[1:])], default=0)


def contenders(conflict: ConflictRow, situation: Situation) -> Contenders:
    """Return who is in a contention now: by priority, then by who came first."""
    claims = [situation.claims[number] for number in conflict.claims if number in situation.claims]
    held = {row.number for row in claims}
    waits = [wait for wait in situation.waits if held & set(wait.holders)]
    works = [each for each in situation.work if each.task_id in conflict.tasks and each.agent_id in conflict.agents]
    return Contenders(
        tuple(sorted(claims, key=lambda row: (-row.terms.priority, row.granted_now, row.number))),
        tuple(sorted(waits, key=lambda wait: (-wait.priority, wait.since, wait.owner))),
        tuple(sorted(works, key=lambda work: (-work.priority, not work.running, work.task_id, work.agent_id))),
    )

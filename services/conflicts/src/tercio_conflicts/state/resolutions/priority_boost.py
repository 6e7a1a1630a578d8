"""Priority boost: who is in the way inherits the priority of the most urgent one who waits, and so is done sooner."""

from __future__ import annotations

from typing import Final

from tercio_conflicts.state.detectors.protocol import RESOURCE_CONTENTION
from tercio_conflicts.state.dispute_rows import ActionKind, ConflictRow
from tercio_conflicts.state.resolutions.access import contenders
from tercio_conflicts.state.resolutions.protocol import SETTLING_MS, Action, Counsel, Plan, Rejected, ReleaseWish
from tercio_conflicts.state.situation import Situation

_HIGHEST: Final = 9


class PriorityBoost:
    """Boosts whoever holds a thing, and asks for it in the name of the most urgent."""

    name = "priority_boost"
    types = frozenset({RESOURCE_CONTENTION})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        found = contenders(conflict, situation)
        if not found.claims and len(found.works) < 2:
            return Rejected("nobody holds it any more")
        boosted = min(_HIGHEST, found.priority + 1)
        first = [situation.agent(row.owner) for row in found.claims[:1]] or [work.agent_id for work in found.works[:1]]
        holders = set(first)
        tasks = [work for work in (situation.task_of(agent) for agent in sorted(holders)) if work is not None]
        leaving = found.claims if found.waits else found.claims[1:]
        wishes = [ReleaseWish(row.number, row.owner, boosted, f"boosted to {boosted} for who waits") for row in leaving]
        actions = [Action(ActionKind.BOOST_PRIORITY, work.task_id, work.agent_id, priority=boosted) for work in tasks]
        if not wishes and not actions:
            return Rejected("no task of its holder is known")
        return Plan(
            f"{', '.join(sorted(holders))} to finish first, with priority {boosted}",
            wait=2 * SETTLING_MS,
            releases=tuple(wishes),
            actions=tuple(actions),
            prevention="holders inherit the priority of who waits for them",
        )

"""Single owner: of several agents on one task or in one role one goes on, and the others are relieved."""

from __future__ import annotations

from tercio_conflicts.state.detectors.protocol import AGENT_CONFLICT
from tercio_conflicts.state.dispute_rows import ActionKind, ConflictRow
from tercio_conflicts.state.resolutions.protocol import Action, Counsel, Plan, Rejected
from tercio_conflicts.state.situation import Situation


class SingleOwner:
    """Keeps who has the most urgent work, then the least left to do."""

    name = "single_owner"
    types = frozenset({AGENT_CONFLICT})
    _keeps = 0

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        works = [each for each in situation.work if each.task_id in conflict.tasks and each.running and each.agent_id]
        works.sort(key=lambda work: (-work.priority, work.remaining, work.agent_id))
        if len({work.agent_id for work in works}) < 2:
            return Rejected("only one agent is left")
        kept = works[self._keeps].agent_id
        others = [work for work in works if work.agent_id != kept]
        return Plan(
            f"{kept} goes on; {', '.join(work.agent_id for work in others)} to stop",
            actions=tuple(Action(ActionKind.REVOKE, work.task_id, work.agent_id) for work in others),
            prevention="claim the task as a topic before starting on it",
        )


class Handover(SingleOwner):
    """The other way round, should the others not give way."""

    name = "handover"
    _keeps = -1

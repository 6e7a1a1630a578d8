"""Queue access: one after the other. Who has it is asked to finish, the others wait in a fair order."""

from __future__ import annotations

from typing import Final

from tercio_conflicts.state.detectors.protocol import RESOURCE_CONTENTION
from tercio_conflicts.state.dispute_rows import ActionKind, ConflictRow
from tercio_conflicts.state.resolutions.access import contenders
from tercio_conflicts.state.resolutions.protocol import (
    NOT_APPLICABLE,
    SETTLING_MS,
    Action,
    Counsel,
    Plan,
    Rejected,
    ReleaseWish,
)
from tercio_conflicts.state.situation import Situation

_AGEING_MS: Final = 10_000
"""What a request to release gains of priority one by."""
_DEFAULT_TURN_MS: Final = 60_000
"""A turn of somebody of whom nobody knows how long he needs."""


class QueueAccess:
    """Orders who has access to a thing."""

    name = "queue_access"
    types = frozenset({RESOURCE_CONTENTION})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        found = contenders(conflict, situation)
        if found.claims and (found.waits or len(found.claims) > 1):
            # Whose wait it is asks; of several that mean to edit, the first stays and the others stand back.
            leaving = found.claims if found.waits else found.claims[1:]
            asked_by = found.waits[0].owner if found.waits else found.claims[0].owner
            asking = found.waits[0].priority if found.waits else found.claims[0].terms.priority
            wishes = [ReleaseWish(row.number, asked_by, asking, f"queued for {_thing(conflict)}") for row in leaving]
            delay = max(max(0, row.terms.priority + 1 - asking) * _AGEING_MS for row in leaving)
            staying = () if found.waits else (found.claims[0].owner,)
            order = (*staying, *(row.owner for row in leaving), *(wait.owner for wait in found.waits))
            if found.waits:
                order = (*(row.owner for row in leaving), *(wait.owner for wait in found.waits))
            return Plan(
                f"access to {_thing(conflict)} in turn: {', '.join(dict.fromkeys(order))}",
                wait=delay + SETTLING_MS,
                releases=tuple(wishes),
                access_order=tuple(dict.fromkeys(order)),
                delay=delay,
                prevention="the holders were asked to release; who comes later waits in line",
            )
        if len(found.works) > 1:
            first, *others = found.works
            order = (first.agent_id, *(work.agent_id for work in others))
            return Plan(
                f"access to {_thing(conflict)} in turn: {', '.join(dict.fromkeys(order))}",
                actions=tuple(
                    Action(ActionKind.HOLD, work.task_id, work.agent_id, after_task_id=first.task_id) for work in others
                ),
                access_order=tuple(dict.fromkeys(order)),
                delay=first.remaining or _DEFAULT_TURN_MS,
                prevention=f"claim {_thing(conflict)} before writing it: a claim waits where this collides",
            )
        return Rejected(NOT_APPLICABLE if conflict.type not in self.types else "nobody waits for it any more")


def _thing(conflict: ConflictRow) -> str:
    return dict(conflict.context).get("resource", "it")

"""How the scaling of a pool goes, by the events that are kept."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from tercio_scaling.state.rows import EventKind, Outcome
from tercio_scaling.state.status import PoolStatus
from tercio_scaling.state.tables import ScalingTables

_CHANGES = (EventKind.SCALED_UP, EventKind.SCALED_DOWN)


class Performance(NamedTuple):
    """Of one pool.

    Attributes:
        decided: agents that are to be there.
        ready: agents that take work.
        running: attempts on agents that stay.
        slots: those of the agents that take work.
        ups: decisions upwards.
        downs: decisions downwards.
        refused: decisions that a limit refused.
        flaps: changes of direction.
        wrong: how often another agent left than the chosen one.
        overdue: how often one had not finished at the drain limit.
        responses: from each decision upwards until all its agents took work, in ms.
        startup: how long an agent takes to start, in ms; 0 while unknown.
        cost: of the agents, an hour, in millionths.
    """

    pool_id: str
    decided: int
    ready: int
    running: int
    slots: int
    ups: int
    downs: int
    refused: int
    flaps: int
    wrong: int
    overdue: int
    responses: tuple[int, ...]
    startup: int
    cost: int


def performance(shown: PoolStatus, tables: ScalingTables) -> Performance:
    """Count the events of a pool."""
    row, state = shown.row, shown.state
    events = [event for _, event in sorted(tables.history.of(row.pool_id).items())]
    kinds = Counter(event.kind for event in events)
    changes = [event.kind for event in events if event.kind in _CHANGES]
    responses = [
        event.ended_wall - event.wall
        for event in events
        if event.kind == EventKind.SCALED_UP and event.outcome == Outcome.DONE
    ]
    return Performance(
        row.pool_id,
        state.decided,
        shown.ready,
        shown.observation.running if shown.observation is not None else 0,
        shown.ready * row.pool.slots,
        kinds[EventKind.SCALED_UP],
        kinds[EventKind.SCALED_DOWN],
        kinds[EventKind.REFUSED],
        sum(one != other for one, other in pairwise(changes)),
        kinds[EventKind.WRONG_AGENT_LEFT],
        kinds[EventKind.DRAIN_LIMIT_REACHED],
        tuple(responses),
        state.startup,
        state.decided * row.pool.agent_cost,
    )

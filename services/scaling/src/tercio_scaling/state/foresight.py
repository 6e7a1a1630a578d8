"""The forecast of a pool as readers are shown it: what was foreseen, what came, and what is foreseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_scaling.state import arrivals
from tercio_scaling.state.assessment import effective
from tercio_scaling.state.forecasting import INTERVAL_MS, Arrivals, expected, trusted
from tercio_scaling.state.rows import ArrivalsRow, PoolRow
from tercio_scaling.state.session import Session
from tercio_scaling.state.tables import ScalingTables


class Point(NamedTuple):
    """One interval that ends at that wall time in ms; -1 for what nobody said or knows."""

    end_wall: int
    actual: int
    expected: float
    plain: float


class Foresight(NamedTuple):
    """What is known and foreseen of a pool.

    Attributes:
        points: the past, the oldest first, and then what is to come.
        startup: how long an agent takes to start, in ms.
        foreseen: slots that will be busy then; -1 while the forecast is not heard.
    """

    pool_id: str
    known: Arrivals
    points: tuple[Point, ...]
    trusted: bool
    startup: int
    foreseen: int


def foresight(row: PoolRow, at: Moment, tables: ScalingTables, session: Session, *, intervals: int) -> Foresight:
    """Foresee so many intervals; 0 for as many as an agent takes to start."""
    pool, known = effective(row, tables.states[row.pool_id]), tables.arrivals[row.pool_id]
    seen = session.seen(row.pool_id, at.now)
    foreseen = arrivals.foreseen(known, pool, seen) if seen is not None else -1
    ahead = intervals or arrivals.ahead(pool.startup)
    points = (*_past(known), *_coming(known, ahead))
    return Foresight(row.pool_id, known.arrivals, points, trusted(known.arrivals), pool.startup, foreseen)


def _past(row: ArrivalsRow) -> Iterator[Point]:
    first = row.until - len(row.past) + 1
    for number, each in enumerate(row.past, first):
        yield Point((number + 1) * INTERVAL_MS, each.actual, each.expected, each.plain)


def _coming(row: ArrivalsRow, count: int) -> Iterator[Point]:
    if not row.arrivals.noted:
        return
    for ahead in range(1, count + 1):
        end = (row.until + 1 + ahead) * INTERVAL_MS
        yield Point(end, -1, expected(row.arrivals, ahead), float(row.arrivals.last))

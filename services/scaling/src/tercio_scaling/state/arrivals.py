"""Arrivals of a pool, interval by interval, and what is foreseen from them.

Intervals are those of the wall clock, so that the season stays that of the day whoever leads. What a leader has not
counted for at least half is taken to have been as before.
"""

from __future__ import annotations

from typing import Final

from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import Moment
from tercio_scaling.state.change import Change
from tercio_scaling.state.events import ArrivalsNoted
from tercio_scaling.state.forecasting import INTERVAL_MS, SEASON, Arrivals, expected, noted, trusted
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.rows import ArrivalsRow, Past
from tercio_scaling.state.sightings import PoolSeen


def begun(pool_id: str, at: Moment) -> ArrivalsRow:
    """Return what is known of a new pool."""
    return ArrivalsRow(pool_id, Arrivals(), at.wall // INTERVAL_MS - 1, 0, at.epoch)


def ahead(startup: int) -> int:
    """Return how many intervals later an agent is there that is asked for now."""
    return max(1, -(-startup // INTERVAL_MS))


def foreseen(row: ArrivalsRow, pool: AgentPool, seen: PoolSeen) -> int:
    """Return how many slots will be busy once an agent has started; -1 while the forecast is not heard."""
    if not trusted(row.arrivals):
        return -1
    return round(expected(row.arrivals, ahead(pool.startup)) * seen.demand.mean_run / INTERVAL_MS)


def noting(row: ArrivalsRow, change: Change, seen: PoolSeen) -> ArrivalsNoted | None:
    """Return what came since the last interval that was noted; None while the next one lasts."""
    at = change.at
    ended = at.wall // INTERVAL_MS - 1
    count = ended - row.until
    if count <= 0:
        return None
    came = max(0, seen.demand.arrived - _total(row, at.epoch))
    last, counted = row.arrivals.last, _counted(row, change, seen)
    if 2 * counted >= INTERVAL_MS:
        last = round(came * INTERVAL_MS / counted)
    # Whole days that nobody saw are left out: the season is where it was.
    counts = (last,) * (count if count <= SEASON else count % SEASON)
    startup = change.state.startup or change.row.pool.startup
    return ArrivalsNoted(row.pool_id, counts, ended, ahead(startup), seen.demand.arrived)


def _counted(row: ArrivalsRow, change: Change, seen: PoolSeen) -> int:
    """Return for how long was counted what came since the last interval that was noted, in ms.

    Counts go on while nothing is seen, so for the leader that noted it that is all the time; for a new one it is what
    it has watched.
    """
    wall = change.at.wall
    since = wall - max((row.until + 1) * INTERVAL_MS, change.row.created_wall)
    return since if row.epoch == change.at.epoch else min(seen.watched, since)


def _total(row: ArrivalsRow, epoch: Epoch) -> int:
    """Return what a leader had counted when the last interval was noted: a new one began at nothing."""
    return row.total if row.epoch == epoch else 0


def applied(row: ArrivalsRow, event: ArrivalsNoted, at: Moment) -> ArrivalsRow:
    """Return what is known after that."""
    known, past = row.arrivals, row.past
    for count in event.counts:
        said = known.pending[-event.ahead] if len(known.pending) >= event.ahead else (-1.0, -1.0)
        past = (*past, Past(count, *said))
        known = noted(known, count, ahead=event.ahead)
    return ArrivalsRow(row.pool_id, known, event.until, event.total, at.epoch, past[-MOST_PAST:])


MOST_PAST: Final = SEASON
"""Intervals that are kept to be shown: a day."""

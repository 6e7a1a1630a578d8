"""Forecast: when all of a pool will be granted, if that grows on as it did lately.

Holt's linear method (1957): a level and a trend, each smoothed exponentially. Here the trend is by the millisecond, so
that samples need not be evenly spaced: a take-over leaves a gap. It foresees growth and no rhythm of days or weeks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_resources.state.events import UseSampled
from tercio_resources.state.rows import PoolRow, Sample, SamplesRow

MOST_SAMPLES: Final = 240
"""Four hours at one a minute."""
LEAST_SAMPLES: Final = 5
HORIZON_MS: Final = 30 * 86_400_000
_LEVEL_WEIGHT: Final = 0.5
_TREND_WEIGHT: Final = 0.2
"""The trend follows more slowly than the level: one burst is no growth."""
_HOUR_MS: Final = 3_600_000


class Forecast(NamedTuple):
    """When a pool runs out.

    Attributes:
        grantable: its capacity less its reserve.
        growth: of what is granted, an hour.
        exhausted_in: ms from now until all is granted; None when that is not foreseen.
        samples: from how many it is drawn.
    """

    pool: PoolRow
    grantable: int
    granted: int
    growth: int
    exhausted_in: int | None
    samples: int


def sampled(pools: Table[PoolRow], granted: Mapping[str, int]) -> UseSampled:
    """Note how much is granted of each pool."""
    pool_ids = sorted(row.pool_id for row in pools.values())
    return UseSampled(tuple((pool_id, granted.get(pool_id, 0)) for pool_id in pool_ids))


def with_sample(before: SamplesRow | None, pool_id: str, granted: int, at: Moment) -> SamplesRow:
    """Return the samples of a pool with one more; two of the same time are one."""
    earlier = tuple(sample for sample in before.samples if sample.now < at.now) if before else ()
    return SamplesRow(pool_id, (*earlier, Sample(at.now, granted))[-MOST_SAMPLES:])


def forecast(pool: PoolRow, granted: int, row: SamplesRow | None, now: int) -> Forecast:
    """Return when a pool runs out; `now` is fleet time in ms."""
    samples = row.samples if row is not None else ()
    grantable = pool.capacity - pool.reserve
    exhausted_in = 0 if granted >= grantable else None
    if len(samples) < LEAST_SAMPLES:
        return Forecast(pool, grantable, granted, 0, exhausted_in, len(samples))
    level, trend = holt(samples)
    if exhausted_in is None and trend > 0:
        ahead = max(0, int((grantable - level) / trend) - (now - samples[-1].now))
        exhausted_in = ahead if ahead <= HORIZON_MS else None
    return Forecast(pool, grantable, granted, round(trend * _HOUR_MS), exhausted_in, len(samples))


def holt(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return the level at the last sample, and the trend by the millisecond."""
    level, trend = float(samples[0].granted), 0.0
    for number, (earlier, later) in enumerate(pairwise(samples)):
        elapsed = later.now - earlier.now
        expected = level + trend * elapsed
        before, level = level, expected + _LEVEL_WEIGHT * (later.granted - expected)
        if number == 0:
            level, trend = float(later.granted), (later.granted - before) / elapsed
        else:
            trend += _TREND_WEIGHT * ((level - before) / elapsed - trend)
    return level, trend


def forecasts(
    pools: Iterable[PoolRow], granted: Mapping[str, int], samples: Table[SamplesRow], now: int
) -> Iterable[Forecast]:
    """Give the forecast of each of the pools."""
    for pool in pools:
        yield forecast(pool, granted.get(pool.pool_id, 0), samples.get(pool.pool_id), now)

"""Arrivals foreseen: Holt-Winters with an additive season and a damped trend, judged against the last value.

Each interval the number of arrivals is noted. The forecast for `ahead` intervals is compared with what then came, and
so is the plain guess that nothing changes; only while the forecast has been better of late is it heard. Winters 1960;
damped trend: Gardner and McKenzie 1985. Until a whole season was seen there is none, and level and trend alone foresee.
"""

from __future__ import annotations

from typing import Final, NamedTuple

INTERVAL_MS: Final = 300_000
SEASON: Final = 288
"""Intervals of a day."""
_LEVEL: Final = 0.4
_TREND: Final = 0.1
_SEASONAL: Final = 0.3
_DAMPING: Final = 0.9
_ERROR: Final = 0.05
"""Weight of the last error: the verdict follows about the last twenty intervals."""
_EDGES: Final = 24
"""The first and the last hour of a day say whether it grew."""
_LEAST: Final = 6
"""Comparisons before the forecast is heard."""


class Arrivals(NamedTuple):
    """What is known of the arrivals of a pool.

    Attributes:
        noted: intervals so far.
        level: smoothed number an interval, without the season.
        trend: its change an interval.
        season: what each interval of the season adds; empty until one was seen.
        first: what the first season brought; empty afterwards.
        last: number in the last interval.
        pending: forecasts for the intervals to come, the next one first, with the plain guess for it.
        error: mean absolute error of the forecast of late.
        plain_error: that of the plain guess.
        compared: how many were compared.
    """

    noted: int = 0
    level: float = 0.0
    trend: float = 0.0
    season: tuple[float, ...] = ()
    first: tuple[int, ...] = ()
    last: int = 0
    pending: tuple[tuple[float, float], ...] = ()
    error: float = 0.0
    plain_error: float = 0.0
    compared: int = 0


def noted(before: Arrivals, arrivals: int, *, ahead: int, season: int = SEASON) -> Arrivals:
    """Return what is known after one more interval; forecasts are for `ahead` ≥ 1 intervals later."""
    after = _smoothed(_compared(before, arrivals, ahead), arrivals, season)
    return after._replace(pending=(*after.pending, (expected(after, ahead, season=season), float(arrivals))))


def expected(known: Arrivals, ahead: int, *, season: int = SEASON) -> float:
    """Return how many arrivals the model expects in the interval that ends `ahead` intervals later."""
    damped = _DAMPING * (1 - _DAMPING**ahead) / (1 - _DAMPING)
    seasonal = known.season[(known.noted - 1 + ahead) % season] if known.season else 0.0
    return max(0.0, known.level + damped * known.trend + seasonal)


def trusted(known: Arrivals) -> bool:
    """Tell whether the forecast has been better of late than to guess that nothing changes."""
    return known.compared >= _LEAST and known.error < known.plain_error


def _compared(before: Arrivals, arrivals: int, ahead: int) -> Arrivals:
    if len(before.pending) < ahead:
        return before
    (model, plain), *later = before.pending[-ahead:]
    weight = max(_ERROR, 1 / (before.compared + 1))
    return before._replace(
        pending=tuple(later),
        error=before.error + weight * (abs(arrivals - model) - before.error),
        plain_error=before.plain_error + weight * (abs(arrivals - plain) - before.plain_error),
        compared=before.compared + 1,
    )


def _smoothed(before: Arrivals, arrivals: int, season: int) -> Arrivals:
    place = before.noted % season
    seasonal = before.season[place] if before.season else 0.0
    carried = before.level + _DAMPING * before.trend
    level = carried + _LEVEL * (arrivals - seasonal - carried) if before.noted else float(arrivals)
    trend = _DAMPING * before.trend + _TREND * (level - carried) if before.noted else 0.0
    after = before._replace(noted=before.noted + 1, level=level, trend=trend, last=arrivals)
    if before.season:
        moved = seasonal + _SEASONAL * (arrivals - level - seasonal)
        return after._replace(season=(*before.season[:place], moved, *before.season[place + 1 :]))
    first = (*before.first, arrivals)
    if len(first) < season:
        return after._replace(first=first)
    mean, slope = sum(first) / season, _slope(first)
    middle = (season - 1) / 2
    without = [number - mean - slope * (place - middle) for place, number in enumerate(first)]
    return after._replace(season=_wide_mean(without), first=(), level=mean + slope * middle, trend=slope)


def _slope(first: tuple[int, ...]) -> float:
    """Return by how much an interval of the first season is above the one before, from its end back to its beginning.

    What only comes and goes ends as it began, so it has none; what grows would else be taken for a season.
    """
    edge = max(1, len(first) // _EDGES)
    return (sum(first[-edge:]) - sum(first[:edge])) / edge / max(1, len(first) - edge)


def _wide_mean(without: list[float]) -> tuple[float, ...]:
    """Return how far each interval of the first season is off its trend, smoothed over its neighbours."""
    count = len(without)
    reach = range(-2, 3)
    return tuple([sum([without[(place + off) % count] for off in reach]) / len(reach) for place in range(count)])

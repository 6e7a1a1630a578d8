"""Every series of the resources service. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from tercio_resources.state.forecast import Forecast
from tercio_resources.state.pools import PoolView
from tercio_resources.state.rows import HistoryRow
from tercio_resources.state.usage import Efficiency
from tercio_resources.state.worktree_rows import WorktreeRow

ALLOCATIONS = Counter(
    "tercio_resources_allocations", "Items that were asked for, by what became of them.", ("outcome",)
)
LEASES = Counter("tercio_resources_leases", "Items of leases of budgets, by what became of them.", ("outcome",))
CAPACITY = Gauge("tercio_resources_capacity", "How much a pool has, in its dimension's unit.", ("pool",))
GRANTED = Gauge("tercio_resources_granted", "How much of a pool is granted.", ("pool",))
EFFICIENCY = Gauge(
    "tercio_resources_efficiency", "Part of a pool that is granted, 0 to 1; over 1 is over-committed.", ("pool",)
)
HELD = Gauge("tercio_resources_held_allocations", "Allocations that are held.")
WAITING = Gauge("tercio_resources_waiting", "Calls that wait for something to be given back.")
GAP = Gauge("tercio_resources_gap", "How much waiting calls ask for, in the dimension's unit.", ("dimension",))
USED = Gauge("tercio_resources_used", "How much holders that report use, in the dimension's unit.", ("dimension",))
USE = Gauge(
    "tercio_resources_use_ratio", "Part of what is granted to holders that report that they use.", ("dimension",)
)
WASTE = Gauge("tercio_resources_waste_ratio", "Part of it that they do not use.", ("dimension",))
WASTEFUL = Gauge("tercio_resources_below_target", "1 while less is used than the settings ask for.", ("dimension",))
PREDICTION_ERROR = Gauge(
    "tercio_resources_prediction_error_ratio", "How far predictions were off lately, of what was used, over all types."
)
EXHAUSTED_IN = Gauge(
    "tercio_resources_exhausted_in_seconds", "Until all of a pool is granted; absent while not foreseen.", ("pool",)
)
WORKTREES = Gauge("tercio_resources_worktrees", "Git worktrees, by their state.", ("pool", "state"))
WORKTREE_STEPS = Counter(
    "tercio_resources_worktree_steps",
    "What was done about git worktrees: by the state that was left, and how it ended.",
    ("step", "outcome"),
)
COST = Gauge("tercio_resources_cost_micros", "What a tenant cost so far, in millionths of the currency.", ("tenant",))
LIVE_BYTES = Gauge("tercio_resources_live_bytes", "About the size of all rows in a snapshot.")
WATCHES = Gauge("tercio_resources_watches", "Open watches.", ("of",))


def show_pools(pools: Iterable[PoolView]) -> None:
    """Set what a leader knows of its pools; those that are not named are no more."""
    for gauge in (CAPACITY, GRANTED, EFFICIENCY):
        gauge.clear()
    for pool in pools:
        name = pool.row.pool_id
        CAPACITY.labels(name).set(pool.row.capacity)
        GRANTED.labels(name).set(pool.granted)
        EFFICIENCY.labels(name).set(pool.granted / max(1, pool.row.capacity))


def show_waiting(waiting: int, needs: Iterable[tuple[str, int]]) -> None:
    """Set who waits, and how much of each dimension is asked for."""
    WAITING.set(waiting)
    GAP.clear()
    for dimension, amount in needs:
        GAP.labels(dimension).set(amount)


def show_usage(efficiencies: Iterable[Efficiency], *, target: int) -> None:
    """Set what is used of what is granted; the target is in thousandths."""
    for gauge in (USED, USE, WASTE, WASTEFUL):
        gauge.clear()
    for each in efficiencies:
        ratio = each.used / max(1, each.granted)
        USED.labels(each.dimension).set(each.used)
        USE.labels(each.dimension).set(ratio)
        WASTE.labels(each.dimension).set(1 - ratio)
        WASTEFUL.labels(each.dimension).set(each.per_mille < target)


def show_costs(costs: Iterable[tuple[str, int]]) -> None:
    """Set what each tenant cost, in millionths of the currency."""
    COST.clear()
    for tenant, micros in costs:
        COST.labels(tenant).set(micros)


def show_predictions(histories: Iterable[HistoryRow]) -> None:
    """Set how far predictions were off, as a mean over the types of which some were compared."""
    errors = [row.error for row in histories if row.compared]
    PREDICTION_ERROR.set(sum(errors) / 1_000 / max(1, len(errors)))


def show_forecasts(forecasts: Iterable[Forecast]) -> None:
    """Set which pools will run out."""
    EXHAUSTED_IN.clear()
    for each in forecasts:
        if each.exhausted_in is not None:
            EXHAUSTED_IN.labels(each.pool.pool_id).set(each.exhausted_in / 1_000)


def show_worktrees(rows: Iterable[WorktreeRow]) -> None:
    """Set how many worktrees there are of each pool in each state."""
    WORKTREES.clear()
    for (pool, state), count in Counts((row.pool_id, row.state.name.lower()) for row in rows).items():
        WORKTREES.labels(pool, state).set(count)

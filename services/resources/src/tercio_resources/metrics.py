"""Every series of the resources service. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from tercio_resources.state.pools import PoolView

ALLOCATIONS = Counter(
    "tercio_resources_allocations", "Items that were asked for, by what became of them.", ("outcome",)
)
CAPACITY = Gauge("tercio_resources_capacity", "How much a pool has, in its dimension's unit.", ("pool",))
GRANTED = Gauge("tercio_resources_granted", "How much of a pool is granted.", ("pool",))
EFFICIENCY = Gauge(
    "tercio_resources_efficiency", "Part of a pool that is granted, 0 to 1; over 1 is over-committed.", ("pool",)
)
HELD = Gauge("tercio_resources_held_allocations", "Allocations that are held.")
WAITING = Gauge("tercio_resources_waiting", "Calls that wait for something to be given back.")
GAP = Gauge("tercio_resources_gap", "How much waiting calls ask for, in the dimension's unit.", ("dimension",))
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

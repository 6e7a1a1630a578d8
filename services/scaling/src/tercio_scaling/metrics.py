"""Every series of the scaling service. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge

from tercio_scaling.state.status import PoolStatus

DESIRED = Gauge("tercio_scaling_desired_agents", "As many agents as were decided.", ("pool",))
AGENTS = Gauge("tercio_scaling_agents", "Agents of a pool, by their state.", ("pool", "state"))
WAITING = Gauge("tercio_scaling_waiting_tasks", "Tasks that wait for agents of a pool.", ("pool",))
FORESEEN = Gauge("tercio_scaling_foreseen_slots", "Slots that will be busy; absent while not foreseen.", ("pool",))
COST = Gauge("tercio_scaling_cost_micros_per_hour", "What the agents of a pool cost, in millionths.", ("pool",))
OBSERVED = Gauge(
    "tercio_scaling_observed", "1 while what is known of a pool is fresh, so that it is decided.", ("pool",)
)
STARTUP = Gauge("tercio_scaling_startup_seconds", "How long an agent takes to start, as measured.", ("pool",))
EVENTS = Counter("tercio_scaling_events", "What was told of pools, by kind.", ("pool", "kind"))
LIVE_BYTES = Gauge("tercio_scaling_live_bytes", "About the size of all rows in a snapshot.")
WATCHES = Gauge("tercio_scaling_watches", "Open watches.", ("of",))
_OF_POOLS: Final = (DESIRED, AGENTS, WAITING, FORESEEN, COST, OBSERVED, STARTUP)


def show_pools(pools: Iterable[PoolStatus]) -> None:
    """Set what a leader knows of its pools; those that are not named are no more."""
    for gauge in _OF_POOLS:
        gauge.clear()
    for pool in pools:
        name, state = pool.row.pool_id, pool.state
        DESIRED.labels(name).set(state.decided)
        counts = {"ready": pool.ready, "starting": pool.starting, "leaving": pool.leaving, "failed": state.failing}
        for which, count in counts.items():
            AGENTS.labels(name, which).set(count)
        COST.labels(name).set(state.decided * pool.row.pool.agent_cost)
        OBSERVED.labels(name).set(any(each.holds for each in pool.conditions if each.name == "Observed"))
        STARTUP.labels(name).set(state.startup / 1_000)
        if pool.observation is not None:
            WAITING.labels(name).set(pool.observation.waiting)
            if pool.observation.foreseen >= 0:
                FORESEEN.labels(name).set(pool.observation.foreseen)

"""Series of single agents, for fleets that are small enough for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Gauge

from tercio_registry.performance_messages import average_micros, efficiency, success_ratio
from tercio_registry.state.performance import Performance, TypeHistory

UTILIZATION: Final = Gauge(
    "tercio_registry_agent_utilization_ratio", "Running attempts per concurrency at the last heartbeat.", ("agent",)
)
ACTIVE_ATTEMPTS: Final = Gauge(
    "tercio_registry_agent_active_attempts", "Attempts that the agent was running at its last heartbeat.", ("agent",)
)
QUEUE_LENGTH: Final = Gauge(
    "tercio_registry_agent_queue_length", "Attempts that waited in the agent at its last heartbeat.", ("agent",)
)
SUCCESS_RATIO: Final = Gauge(
    "tercio_registry_agent_success_ratio", "Share of attempts that succeed, a moving average.", ("agent",)
)
AVERAGE_SECONDS: Final = Gauge(
    "tercio_registry_agent_average_duration_seconds",
    "How long an attempt that succeeds runs, a moving average.",
    ("agent",),
)
HEALTH: Final = Gauge("tercio_registry_agent_health_ratio", "Health of the agent's status, 1 is healthy.", ("agent",))
EFFICIENCY: Final = Gauge(
    "tercio_registry_agent_efficiency_ratio", "The fleet's mean duration per the agent's own, at most 1.", ("agent",)
)
_ALL: Final = (UTILIZATION, ACTIVE_ATTEMPTS, QUEUE_LENGTH, SUCCESS_RATIO, AVERAGE_SECONDS, HEALTH, EFFICIENCY)


def clear() -> None:
    """Show no agent."""
    for series in _ALL:
        series.clear()


def show(
    agent_id: str,
    *,
    concurrency: int,
    active_attempts: int,
    health: int,
    queued: int,
    types: Sequence[TypeHistory],
    performance: Performance,
) -> None:
    """Show one agent; what it never did is left out."""
    UTILIZATION.labels(agent_id).set(min(1, active_attempts / concurrency))
    HEALTH.labels(agent_id).set(health / 100)
    ACTIVE_ATTEMPTS.labels(agent_id).set(active_attempts)
    QUEUE_LENGTH.labels(agent_id).set(queued)
    if types:
        EFFICIENCY.labels(agent_id).set(efficiency(types, performance))
        SUCCESS_RATIO.labels(agent_id).set(success_ratio(types))
        AVERAGE_SECONDS.labels(agent_id).set(average_micros(types) / 1e6)

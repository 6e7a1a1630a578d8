"""Series of single agents, for fleets that are small enough for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Gauge

from tercio_registry.performance_messages import average_micros, success_ratio
from tercio_registry.state.performance import TypeHistory

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
_ALL: Final = (UTILIZATION, ACTIVE_ATTEMPTS, QUEUE_LENGTH, SUCCESS_RATIO, AVERAGE_SECONDS)


def clear() -> None:
    """Show no agent."""
    for series in _ALL:
        series.clear()


def show(agent_id: str, *, concurrency: int, active_attempts: int, queued: int, types: Sequence[TypeHistory]) -> None:
    """Show one agent; what it never did is left out."""
    UTILIZATION.labels(agent_id).set(min(1, active_attempts / concurrency))
    ACTIVE_ATTEMPTS.labels(agent_id).set(active_attempts)
    QUEUE_LENGTH.labels(agent_id).set(queued)
    if types:
        SUCCESS_RATIO.labels(agent_id).set(success_ratio(types))
        AVERAGE_SECONDS.labels(agent_id).set(average_micros(types) / 1e6)

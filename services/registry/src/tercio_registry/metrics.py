"""Every series of the registry. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

from tercio_registry.state.views import State

AGENTS = Gauge("tercio_registry_agents", "Agents that the leader knows, by the state that it shows.", ("state",))
LIVE_BYTES = Gauge("tercio_registry_live_bytes", "About the size of all agents in a snapshot.")
HEARTBEATS = Counter("tercio_registry_heartbeats", "Heartbeats received, by their outcome.", ("outcome",))
HEARTBEAT_STREAMS = Gauge("tercio_registry_heartbeat_streams", "Open heartbeat streams.")
WATCHES = Gauge("tercio_registry_watches", "Open watches of agents.")


def show_agents(counts: Mapping[State, int], *, live_bytes: int) -> None:
    """Set what a leader knows of its agents."""
    for state in State:
        AGENTS.labels(state.name.lower()).set(counts.get(state, 0))
    LIVE_BYTES.set(live_bytes)

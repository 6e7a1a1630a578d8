"""Every series of the conflicts service. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

from tercio_conflicts.state.modes import Mode

CLAIMS = Counter("tercio_conflicts_claims", "Items that were asked for, by what became of them.", ("outcome",))
DEADLOCKS = Counter("tercio_conflicts_deadlocks", "Calls that were refused to end a cycle of waits.")
HELD = Gauge("tercio_conflicts_held_claims", "Claims that are held.", ("mode",))
WAITING = Gauge("tercio_conflicts_waiting", "Calls that wait for claims.")
LIVE_BYTES = Gauge("tercio_conflicts_live_bytes", "About the size of all rows in a snapshot.")
WATCHES = Gauge("tercio_conflicts_watches", "Open watches of claims.")


def show(*, held: Mapping[Mode, int], waiting: int, live_bytes: int) -> None:
    """Set what a leader knows."""
    for mode in Mode:
        HELD.labels(mode.name.lower()).set(held.get(mode, 0))
    WAITING.set(waiting)
    LIVE_BYTES.set(live_bytes)

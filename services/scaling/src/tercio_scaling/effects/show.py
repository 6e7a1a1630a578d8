"""Shows what the leader knows in its metrics, and forgets what it saw of pools that are no more."""

from __future__ import annotations

from typing import Final

from tercio_common.machine.host import Host
from tercio_scaling import metrics
from tercio_scaling.api.shown import statuses

_EVERY_MS: Final = 1_000
"""Metrics are read every few seconds."""


async def show(host: Host) -> None:
    """Show it for as long as this replica leads."""
    try:
        while True:
            machine = host.machine
            host.session.forget_others([row.pool_id for row in machine.tables.pools.values()])
            metrics.show_pools(statuses(host.term))
            metrics.LIVE_BYTES.set(machine.live_bytes)
            await host.clock.sleep_ms(_EVERY_MS)
    finally:
        metrics.show_pools(())

"""Shows what the leader holds, and forgets agents that left and hold nothing."""

from __future__ import annotations

from typing import Final

from tercio_common.machine.host import Host
from tercio_scheduler import metrics
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables
from tercio_scheduler.state.views import TaskCounts, count_tasks

_INTERVAL_MS: Final = 1_000
"""More often than anybody scrapes."""


async def measure(host: Host) -> None:
    """Be an effect, for as long as the leadership lasts."""
    tables: SchedulerTables = host.machine.tables
    session: SchedulerSession = host.session
    try:
        while True:
            metrics.show_tasks(count_tasks(tables), live_bytes=tables.index.live_bytes)
            forget_departed(tables, session)
            await host.clock.sleep_ms(_INTERVAL_MS)
    finally:
        metrics.show_tasks(TaskCounts(0, 0, 0, 0), live_bytes=0)


def forget_departed(tables: SchedulerTables, session: SchedulerSession) -> None:
    """Drop agents without a stream whose attempts have all ended."""
    by_agent = tables.index.by_agent
    for agent_id in [link.agent_id for link in session.agents.values() if not link.connected]:
        if agent_id not in by_agent:
            session.forget(agent_id)

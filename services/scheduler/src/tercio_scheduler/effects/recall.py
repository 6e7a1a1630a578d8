"""Asks agents for attempts that they hold unbegun, when they take no more work or others are idle.

It reads committed state; see `tercio_scheduler.state.recall`. What an agent returns is dispatched like any ready task.
"""

from __future__ import annotations

from typing import Final

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_scheduler import metrics
from tercio_scheduler.api.agent_streams import AgentStreams
from tercio_scheduler.state import recall
from tercio_scheduler.state.session import SchedulerSession

_INTERVAL_MS: Final = 50
"""Half of what an attempt waits before it may be recalled: a look costs less than a microsecond an agent."""
_log = structlog.get_logger(__name__)


class Recaller:
    """The effect."""

    def __init__(self, agents: AgentStreams) -> None:
        """Ask the agents of these streams."""
        self._agents = agents

    async def run(self, host: Host) -> None:
        """Look for as long as the leadership lasts."""
        while True:
            await host.clock.sleep_ms(_INTERVAL_MS)
            if len(self._agents):
                await self._recall(host)

    async def _recall(self, host: Host) -> None:
        try:
            due = await host.read(lambda machine, session, at: recall.due(machine.tables, session, at))
        except Refusal as refusal:
            _log.debug("recall_refused", reason=refusal.reason, consequence="nothing is recalled for now")
            return
        session: SchedulerSession = host.session
        by_agent, now = host.machine.tables.index.by_agent, host.moment().now
        for agent_id, instance_id, keys in due:
            session.note_recalled(agent_id, keys, held=by_agent.get(agent_id, ()), now=now)
            self._agents.recall(agent_id, instance_id, keys)
            metrics.RECALLED.inc(len(keys))

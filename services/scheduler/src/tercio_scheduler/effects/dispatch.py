"""Gives ready tasks to agents with room: after each commit, and whenever an agent has more room or a better standing.

One command a turn of the loop, however many reasons there were. The offers are recorded lazily and may leave first:
an attempt that no journal knows is revoked when its agent says hello to the next leader. Only what is durably ready is
offered, and nothing is once the lease may have ended.
"""

from __future__ import annotations

import asyncio

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_scheduler import metrics
from tercio_scheduler.api.agent_streams import AgentStreams
from tercio_scheduler.state.commands import Dispatch, Dispatched
from tercio_scheduler.state.session import SchedulerSession

_PAUSE_MS = 100
"""After a dispatch that failed: the next one may meet the same task."""
_log = structlog.get_logger(__name__)


class Dispatcher:
    """The effect, and the way to wake it."""

    def __init__(self, agents: AgentStreams) -> None:
        """Hand offers to these streams."""
        self._agents = agents
        self._wanted = asyncio.Event()

    def poke(self) -> None:
        """Look for something to offer in the next turn of the loop."""
        self._wanted.set()

    def committed(self, _seq: int) -> None:
        """A commit has passed: what it made ready may be offered."""
        self._wanted.set()

    async def run(self, host: Host) -> None:
        """Offer for as long as the leadership lasts."""
        self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if len(self._agents) and host.may_release():
                await self._dispatch(host)

    async def _dispatch(self, host: Host) -> None:
        now = host.moment().now
        try:
            dispatched: Dispatched = host.propose(Dispatch(), call=EFFECT, lazy=True).reply
        except Refusal as refusal:
            _log.warning("dispatch_refused", reason=refusal.reason, consequence="ready tasks wait")
            await host.clock.sleep_ms(_PAUSE_MS)
            return
        session: SchedulerSession = host.session
        by_agent = host.machine.tables.index.by_agent
        for offer in dispatched.offers:
            if len(by_agent[offer.agent_id]) == len(offer.rows):
                # An agent that held nothing had nothing to renew: its lease begins with this offer.
                session.renew(offer.agent_id, now=now)
            metrics.observe_waits(offer.rows, now=now)
        self._agents.deliver(dispatched.offers)
        if dispatched.more:
            self._wanted.set()
            await asyncio.sleep(0)

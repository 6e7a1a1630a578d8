"""Gives ready tasks to agents with room: after each commit, and whenever an agent has more room or a better standing.

One command a turn of the loop, however many reasons there were. The offers are recorded lazily and may leave first:
an attempt that no journal knows is revoked when its agent says hello to the next leader. Those that hold resources
leave when their offer is durable, because nobody else may believe to hold the same. Only what is durably ready is
offered, and nothing is once the lease may have ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_scheduler import metrics
from tercio_scheduler.api.agent_streams import AgentStreams
from tercio_scheduler.state.commands import AgentOffers, Dispatch, Dispatched
from tercio_scheduler.state.rows import State, TaskRow
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
        self._held: deque[tuple[int, AgentOffers]] = deque()

    def poke(self) -> None:
        """Look for something to offer in the next turn of the loop."""
        self._wanted.set()

    def committed(self, _seq: int) -> None:
        """A commit has passed: what it made ready may be offered."""
        self._wanted.set()

    async def run(self, host: Host) -> None:
        """Offer for as long as the leadership lasts."""
        self._held.clear()
        self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._deliver_held(host)
            if len(self._agents) and host.may_release():
                await self._dispatch(host)

    async def _dispatch(self, host: Host) -> None:
        now = host.moment().now
        try:
            proposal = host.propose(Dispatch(), call=EFFECT, lazy=True)
        except Refusal as refusal:
            _log.warning("dispatch_refused", reason=refusal.reason, consequence="ready tasks wait")
            await host.clock.sleep_ms(_PAUSE_MS)
            return
        dispatched: Dispatched = proposal.reply
        session: SchedulerSession = host.session
        by_agent = host.machine.tables.index.by_agent
        for offer in dispatched.offers:
            if len(by_agent[offer.agent_id]) == len(offer.rows):
                # An agent that held nothing had nothing to renew: its lease begins with this offer.
                session.renew(offer.agent_id, now=now)
            metrics.observe_waits(offer.rows, now=now)
        offers = dispatched.offers
        if host.machine.tables.index.admissions:
            offers = self._without_held(offers, seq=proposal.seq)
        self._agents.deliver(offers)
        if dispatched.more:
            self._wanted.set()
            await asyncio.sleep(0)

    def _without_held(self, offers: Iterable[AgentOffers], *, seq: int) -> tuple[AgentOffers, ...]:
        """Keep back what holds resources until record `seq` is durable; return the rest."""
        now: list[AgentOffers] = []
        for offer in offers:
            pairs = list(zip(offer.rows, offer.numbers, strict=True))
            later = [pair for pair in pairs if pair[0].spec.template.holds]
            if later:
                self._held.append((seq, _part(offer, later)))
            if len(later) < len(pairs):
                now.append(_part(offer, [pair for pair in pairs if not pair[0].spec.template.holds]))
        return tuple(now)

    def _deliver_held(self, host: Host) -> None:
        """Let go what is durable by now and still stands."""
        tasks = host.machine.tables.tasks
        while self._held and self._held[0][0] <= host.committed_seq and host.may_release():
            _, offer = self._held.popleft()
            pairs = zip(offer.rows, offer.numbers, strict=True)
            stands = [
                (row, number)
                for row, number in pairs
                if (present := tasks.get(row.task_id)) is not None
                and present.state is State.OFFERED
                and present.number == number
            ]
            self._agents.deliver([_part(offer, stands)])


def _part(offer: AgentOffers, pairs: list[tuple[TaskRow, int]]) -> AgentOffers:
    return offer._replace(rows=[row for row, _ in pairs], numbers=[number for _, number in pairs])

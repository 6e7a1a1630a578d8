"""Tells the state what is seen of pools: soon after anything changed, and at least once an interval.

It puts together what the scheduler, the registry and the drivers last said, with the age of each, and decides nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tercio.api.registry.v1 import agent_pb2
from tercio.identity import POOL_LABEL
from tercio_common.epochs import NO_EPOCH
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.peers import Peers
from tercio_common.waiting import set_within
from tercio_scaling.drivers.protocol import View
from tercio_scaling.effects.watch_agents import AgentWatch
from tercio_scaling.effects.watch_queues import watch_queues
from tercio_scaling.state.commands import ObservePools
from tercio_scaling.state.metering import DemandMeter, QueuesSeen
from tercio_scaling.state.rows import EXTERNAL, PoolRow
from tercio_scaling.state.sightings import NEVER_SEEN, AgentSeen, MemberSeen, PoolSeen

_LOOKS: Final = 10
"""At queues, an interval: that an agent came, or takes no more work, is no change of a queue, and somebody waits."""
_SETTLING_MS: Final = 5_000
"""A new leader of the scheduler has agents back within seconds; before that, one that is missing says nothing."""
_log = structlog.get_logger(__name__)


class Observing:
    """What one replica sees while it leads."""

    def __init__(self, peers: Peers, *, every_ms: int, settle_ms: int, stale_ms: int) -> None:
        """See nothing yet.

        Args:
            peers: where the scheduler and the registry are.
            every_ms: longest time between two looks.
            settle_ms: shortest time between two looks.
            stale_ms: what is older does not count as watched.
        """
        self._peers, self._every_ms, self._settle_ms, self._stale_ms = peers, every_ms, settle_ms, stale_ms
        self._changed = asyncio.Event()
        self.registry = AgentWatch(peers, every_ms=every_ms, changed=self._changed.set)
        self._meter, self._counted_for, self._epoch = DemandMeter(), 0, NO_EPOCH
        self._heard: int | None = None
        self._views: dict[str, tuple[View, int]] = {}
        self._watched: dict[str, int] = {}

    def committed(self, _seq: int) -> None:
        """A commit has passed: there may be another pool."""
        self._changed.set()

    def take_view(self, pool_id: str, view: View, *, asked: int) -> None:
        """Note what a driver has, as it was asked at `asked` by the boot clock, in ms."""
        before = self._views.get(pool_id)
        self._views[pool_id] = (view, asked)
        if before is None or before[0] != view:
            self._changed.set()

    async def queues(self, host: Host) -> None:
        """Follow the scheduler for as long as the leadership lasts."""
        if self._epoch != host.epoch:  # within a leadership, what arrived only rises
            self._meter, self._epoch = DemandMeter(), host.epoch
        self._counted_for, self._heard = 0, None

        def take(seen: QueuesSeen) -> None:
            self._heard, self._counted_for = host.clock.boot_ms(), seen.counted_for
            self._meter.take(seen, list(host.machine.tables.pools.values()), self._heard)
            self._changed.set()

        most_ms = self._every_ms // _LOOKS
        await watch_queues(host, self._peers, least_ms=self._settle_ms, most_ms=most_ms, take=take)

    async def agents(self, host: Host) -> None:
        """Follow the registry for as long as the leadership lasts."""
        await self.registry.run(host)

    async def tell(self, host: Host) -> None:
        """Tell what is seen for as long as the leadership lasts."""
        self._views.clear()
        self._watched.clear()
        while True:
            self._changed.clear()
            await self._tell(host)
            await host.clock.sleep_ms(self._settle_ms)
            await set_within(self._changed, self._every_ms, clock=host.clock)

    async def _tell(self, host: Host) -> None:
        rows, now = list(host.machine.tables.pools.values()), host.clock.boot_ms()
        seen = tuple([self._seen(row, now) for row in rows])
        host.session.keep(seen, host.moment().now)
        pool_ids = {row.pool_id for row in rows}
        host.session.forget_others(pool_ids)
        for gone in self._views.keys() - pool_ids:
            del self._views[gone]
        if not seen:
            return
        try:
            proposal = host.propose(ObservePools(seen), call=EFFECT)
        except Refusal as refusal:
            # The replica is stopping, or the store is nearly full: nothing changes then.
            _log.info("not_observed", reason=refusal.reason, effect="looks again")
            await host.clock.sleep_ms(self._every_ms)
            return
        await host.committed(proposal.seq)

    def _seen(self, row: PoolRow, now: int) -> PoolSeen:
        agents = tuple(
            [self._agent(each, now) for each in self.registry.agents.values() if _pool_of(each) == row.pool_id]
        )
        view, viewed = self._views.get(row.pool_id, (View(-1, ()), None))
        external = row.driver == EXTERNAL
        seen = PoolSeen(
            pool_id=row.pool_id,
            demand=self._meter.demand(row, now, agents=[each.agent_id for each in agents]),
            demand_age=_age(self._heard if self._is_settled(agents) else None, now),
            agents=agents,
            agents_age=_age(self.registry.heard, now),
            members=tuple([MemberSeen(*member) for member in view.members]),
            asked=view.asked,
            view_age=0 if external else _age(viewed, now),
        )
        if not seen.is_fresh(self._stale_ms):
            self._watched.pop(row.pool_id, None)
            return seen
        return seen._replace(watched=now - self._watched.setdefault(row.pool_id, now))

    def _is_settled(self, agents: tuple[AgentSeen, ...]) -> bool:
        """Tell whether the scheduler has had the time to hear of every agent anew."""
        return self._counted_for >= _SETTLING_MS or all(each.agent_id in self._meter.loads for each in agents)

    def _agent(self, agent: agent_pb2.Agent, now: int) -> AgentSeen:
        load = self._meter.loads.get(agent.agent_id)
        cordoned = agent.cordoned or agent.draining
        return AgentSeen(
            agent_id=agent.agent_id,
            takes_work=load is not None and load.takes_work,
            cordoned=cordoned,
            # Of one that the scheduler does not see just now it is not known that it holds nothing.
            held=load.held if load is not None else int(cordoned),
            work=self._meter.work(agent.agent_id, now),
            since_ms=agent.register_time.ToMilliseconds(),
        )


def _pool_of(agent: agent_pb2.Agent) -> str:
    return agent.labels[POOL_LABEL]


def _age(heard: int | None, now: int) -> int:
    return NEVER_SEEN if heard is None else max(0, now - heard)

"""The machine of the scaling service with a fleet that is played: a driver, agents and a queue, on a clock by hand.

Every event goes through its record, and the invariants are checked after each command.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import Decision, Moment, Tick
from tercio_scaling.codec import ScalingCodec, decode_event, encode_event
from tercio_scaling.state.commands import (
    ApplyPool,
    ObservePools,
    ReportScaling,
    ReportVictims,
    VictimOutcome,
    VictimReport,
)
from tercio_scaling.state.invariants import violations
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.rows import EventKind, EventRow, PoolRow, StateRow
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.session import Session
from tercio_scaling.state.sightings import NEVER_SEEN, AgentSeen, Demand, MemberSeen, PoolSeen
from tercio_scaling.state.views import cordons, targets

EPOCH = Epoch(1, 7)
WALL = 1_700_000_100_000
QUICK = AgentPool("p", least=1, most=8, up_step=4, down_step=4, cooldown=5_000, window=5_000, sustained=5_000)


def row(pool: AgentPool = QUICK, **fields: Any) -> PoolRow:
    return PoolRow(pool.pool_id, pool, **{"driver": "local", **fields})


@dataclass(slots=True)
class Agent:
    """One played agent."""

    agent_id: str
    uid: str
    since: int
    registered: bool = False
    cordoned: bool = False
    held: int = 0
    work: int = 0
    leaving: bool = False


@dataclass(slots=True)
class Played:
    """A machine, and what it looks after."""

    rules: Rules = field(default_factory=Rules)
    now: int = 0
    seq: int = 0
    epoch: Epoch = EPOCH
    waiting: int = 0
    mean_run: int = 60_000
    arrived: int = 0
    oldest_wait: int = 0
    watched: int = 0
    agents: dict[str, list[Agent]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    machine: ScalingMachine = field(init=False)
    session: Session = field(default_factory=Session)
    names: Any = field(default_factory=itertools.count)
    events: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = ScalingMachine(self.rules)

    @property
    def tables(self) -> Any:
        return self.machine.tables

    def at(self, principal: str = "local") -> Moment:
        return Moment(self.seq + 1, self.now, WALL + self.now, self.epoch, principal, self.seq)

    def do(self, command: Any, *, principal: str = "local") -> Decision:
        """Decide, and apply what was decided as it is read back from its record."""
        at = self.at(principal)
        decision = self.machine.decide(command, at, self.session)
        if decision.events:
            self.seq += 1
            self.events = [decode_event(encode_event(event)) for event in decision.events]
            assert self.events == list(decision.events)
            for event in self.events:
                self.machine.apply(event, at)
        else:
            self.events = []
        assert list(violations(self.tables, self.rules)) == []
        return decision

    def apply(self, pool: PoolRow) -> Decision:
        self.asked.setdefault(pool.pool_id, 0)
        self.agents.setdefault(pool.pool_id, [])
        decision = self.do(ApplyPool(pool))
        self.do(ObservePools((self.seen(pool.pool_id)._replace(demand_age=NEVER_SEEN),)))
        return decision

    def state(self, pool_id: str = "p") -> StateRow:
        found: StateRow = self.tables.states[pool_id]
        return found

    def told(self, kind: EventKind | None = None, pool_id: str = "p") -> list[EventRow]:
        rows = self.tables.history.of(pool_id).values()
        return [each for each in rows if kind in (None, each.kind)]

    def seen(self, pool_id: str = "p") -> PoolSeen:
        agents = self.agents[pool_id]
        return PoolSeen(
            pool_id,
            demand=Demand(self.waiting, self.oldest_wait, self.mean_run, arrived=self.arrived),
            demand_age=0,
            agents=tuple(
                AgentSeen(each.agent_id, True, not each.cordoned, each.cordoned, each.held, each.work)
                for each in agents
                if each.registered
            ),
            agents_age=0,
            members=tuple(
                MemberSeen(each.agent_id, "leaving" if each.leaving else "running", WALL + each.since, each.uid)
                for each in agents
            ),
            asked=self.asked[pool_id],
            view_age=0,
            watched=self.watched,
        )

    def look(self, *pool_ids: str) -> Decision:
        """Observe pools as they are."""
        seen = [self.seen(pool_id) for pool_id in pool_ids or self.agents]
        self.session.keep(seen, self.now)
        return self.do(ObservePools(tuple(seen)))

    def drive(self) -> None:
        """Do what is asked of the driver and of the registry, at once; agents that were started are not ready yet."""
        reports = []
        for cordon in list(cordons(self.tables)):
            for agent in self.agents[cordon.pool_id]:
                if agent.agent_id == cordon.agent_id:
                    agent.cordoned = cordon.leaves
            outcome = VictimOutcome.CORDONED if cordon.leaves else VictimOutcome.RETURNED
            reports.append(VictimReport(cordon.pool_id, cordon.agent_id, outcome))
        if reports:
            self.do(ReportVictims(tuple(reports)))
        for target in list(targets(self.tables)):
            there = self.agents[target.pool_id]
            gone = {agent_id for agent_id, _ in target.victims}
            there[:] = [each for each in there if each.agent_id not in gone]
            while len(there) < target.agents:
                number = next(self.names)
                there.append(Agent(f"{target.pool_id}-{number}", f"u{number}", self.now))
            del there[target.agents :]
            self.asked[target.pool_id] = target.agents
            self.do(ReportScaling(pool_id=target.pool_id, seq=target.seq))

    def start(self) -> None:
        """Let every agent register."""
        for agents in self.agents.values():
            for agent in agents:
                agent.registered = True

    def settle(self) -> None:
        """Look, drive and start until nothing changes any more."""
        for _ in range(20):
            before = self.seq
            self.look()
            self.drive()
            self.start()
            self.look()
            if self.seq == before:
                return
        raise AssertionError("it does not settle")

    def later(self, ms: int) -> None:
        """Let time pass; what is due is done."""
        self.now += ms
        self.watched += ms
        while (due := self.machine.next_due()) is not None and due <= self.now:
            self.do(Tick())

    def reloaded(self) -> ScalingMachine:
        """Return a machine that was loaded from the rows of this one."""
        codec, machine = ScalingCodec(), ScalingMachine(self.rules)
        for name, table in self.tables.tables.items():
            for each in table.values():
                machine.tables.tables[name].put(codec.decode_row(name, codec.encode_row(name, each)))
        return machine

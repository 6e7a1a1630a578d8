"""Every table of the service, with its indexes."""

from __future__ import annotations

from operator import itemgetter

from tercio_common.machine.table import Table, TableStore
from tercio_scaling.state.indexes import AgentsByPool, History, PoolsByBudget, Surges
from tercio_scaling.state.rows import AgentRow, ArrivalsRow, BudgetRow, EventRow, MemoryRow, PoolRow, StateRow
from tercio_scaling.state.rules import Rules

POOLS = "pools"
STATES = "states"
MEMORIES = "memories"
ARRIVALS = "arrivals"
AGENTS = "agents"
EVENTS = "events"
BUDGETS = "budgets"


class ScalingTables(TableStore):
    """The tables. Every pool has a state; what is only remembered for decisions concerns no reader of the feed."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.pools: Table[PoolRow] = Table(POOLS, itemgetter(0), store=self)
        self.states: Table[StateRow] = Table(STATES, itemgetter(0), store=self)
        self.memories: Table[MemoryRow] = Table(MEMORIES, itemgetter(0), store=self, fed=False)
        self.arrivals: Table[ArrivalsRow] = Table(ARRIVALS, itemgetter(0), store=self, fed=False)
        self.agents: Table[AgentRow] = Table(AGENTS, itemgetter(0, 1), store=self)
        self.events: Table[EventRow] = Table(EVENTS, itemgetter(0, 1), store=self)
        self.budgets: Table[BudgetRow] = Table(BUDGETS, itemgetter(0), store=self)
        self.by_budget = PoolsByBudget()
        self.of_pools = AgentsByPool()
        self.history = History(period=rules.history)
        self.surges = Surges()
        self.pools.add_index(self.by_budget)
        self.states.add_index(self.surges)
        self.agents.add_index(self.of_pools)
        self.events.add_index(self.history)

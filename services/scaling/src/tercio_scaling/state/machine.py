"""The machine of the scaling service: passes each command and event to the noun that knows it."""

from __future__ import annotations

from typing import Any, Final

from tercio_common.errors import Refusal
from tercio_common.leasing.timers import Timers
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.protocol import NOTHING, Decision, ElectionWon, Moment, Tick
from tercio_scaling.state import arrivals, budgets, coordination, declaring, manual, observing, reporting
from tercio_scaling.state.commands import (
    ApplyPool,
    CoordinateScaling,
    DeleteBudget,
    DeletePool,
    EndSurge,
    ObservePools,
    ReportScaling,
    ReportVictims,
    ScalePool,
    SetBudget,
    SurgePool,
)
from tercio_scaling.state.events import (
    AgentsJoined,
    AgentsLeft,
    ArrivalsNoted,
    BudgetDeleted,
    BudgetSet,
    Event,
    EventsForgotten,
    EventsNoted,
    NeedRemembered,
    PoolAdvanced,
    PoolApplied,
    PoolForgotten,
)
from tercio_scaling.state.retention import EVENT_BYTES
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.session import Session
from tercio_scaling.state.tables import ScalingTables

_AGENT_BYTES: Final = 100
"""About what an agent takes in a snapshot."""
_POOL_BYTES: Final = 12_000
"""About what a pool takes in all tables but those of events and agents: the forecast's season, mostly."""


class ScalingMachine:
    """Pure state."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tables = ScalingTables(rules)
        self._served: Timers[str] = self.tables.surges

    def decide(self, command: Any, at: Moment, session: Session) -> Decision:
        """See `StateMachine`."""
        tables, rules = self.tables, self.rules
        match command:
            case ObservePools():
                return observing.observe(command, at, tables, rules)
            case ReportScaling():
                return reporting.scaling(command, at, tables, rules)
            case ReportVictims():
                return reporting.victims(command, at, tables)
            case Tick(limit=limit):
                return Decision(self._expire(at, limit=limit))
            case ElectionWon():
                return NOTHING
            case _:
                self._check_operator(at.principal)
                return self._decide_for_operator(command, at, session)

    def _decide_for_operator(self, command: Any, at: Moment, session: Session) -> Decision:
        tables, rules = self.tables, self.rules
        match command:
            case ApplyPool():
                self._check_space()
                return declaring.apply_pool(command, at, tables, session, rules)
            case DeletePool():
                return declaring.delete_pool(command, at, tables, session, rules)
            case ScalePool():
                return manual.scale(command, at, tables, session, rules)
            case SurgePool():
                return manual.surge(command, at, tables, rules)
            case EndSurge():
                return manual.end_surge(command, at, tables, rules)
            case CoordinateScaling():
                return coordination.coordinate(command, at, tables, session, rules)
            case SetBudget(row=row):
                if row.budget_id not in tables.budgets and len(tables.budgets) >= rules.max_pools:
                    raise Refusal("QUEUE_FULL", f"there are {rules.max_pools} budgets already; delete one first")
                return Decision(() if tables.budgets.get(row.budget_id) == row else [BudgetSet(row)])
            case DeleteBudget(budget_id=budget_id):
                budgets.check_unused(budget_id, tables)
                return Decision([BudgetDeleted(budget_id)])
            case _:
                raise TypeError(f"the scaling service knows no command {type(command).__name__}")

    def apply(self, event: Event, at: Moment) -> None:
        """See `StateMachine`."""
        tables = self.tables
        match event:
            case PoolApplied(row=row):
                tables.pools.put(row)
            case PoolForgotten(pool_id=pool_id):
                self._forget(pool_id)
            case PoolAdvanced(row=state):
                tables.states.put(state)
            case NeedRemembered(row=memory):
                tables.memories.put(memory)
            case ArrivalsNoted():
                known = tables.arrivals.get(event.pool_id) or arrivals.begun(event.pool_id, at)
                tables.arrivals.put(arrivals.applied(known, event, at))
            case AgentsJoined(rows=agents):
                for agent in agents:
                    tables.agents.put(agent)
            case AgentsLeft(pool_id=pool_id, agent_ids=agent_ids):
                for agent_id in agent_ids:
                    tables.agents.delete((pool_id, agent_id))
            case EventsNoted(rows=told):
                for each in told:
                    tables.events.put(each)
            case EventsForgotten():
                for key in zip(event.pool_ids, event.numbers, strict=True):
                    if key in tables.events:  # another version may keep fewer
                        tables.events.delete(key)
            case BudgetSet(row=budget):
                tables.budgets.put(budget)
            case BudgetDeleted(budget_id=budget_id):
                tables.budgets.delete(budget_id)

    def next_due(self) -> int | None:
        """See `StateMachine`."""
        dues = (self.tables.surges.next_due(), self.tables.history.next_due())
        return min((due for due in dues if due is not None), default=None)

    def set_aside_due(self) -> str:
        """See `StateMachine`."""
        return self._served.set_aside()

    @property
    def live_bytes(self) -> int:
        """About what all rows take in a snapshot."""
        tables = self.tables
        few = _AGENT_BYTES * len(tables.agents) + EVENT_BYTES * len(tables.events)
        return _POOL_BYTES * len(tables.pools) + few

    def _expire(self, at: Moment, *, limit: int) -> list[Event]:
        """Decide what is due of one kind: should it fail, that is the kind of what is at fault."""
        tables = self.tables
        self._served = tables.surges
        if ended := manual.due(tables, at, self.rules):
            return ended
        self._served = tables.history
        keys = [key.rpartition(" ") for key in tables.history.prunable(at, limit=limit)]
        if not keys:
            return []
        return [EventsForgotten(tuple(pool_id for pool_id, _, _ in keys), tuple(int(number) for *_, number in keys))]

    def _forget(self, pool_id: str) -> None:
        tables = self.tables
        for table in (tables.pools, tables.states, tables.memories, tables.arrivals):
            if pool_id in table:
                table.delete(pool_id)
        for agent_id in list(tables.of_pools.of(pool_id)):
            tables.agents.delete((pool_id, agent_id))
        for number in list(tables.history.of(pool_id)):
            tables.events.delete((pool_id, number))

    def _check_operator(self, principal: str) -> None:
        operators = self.rules.operators
        if principal not in operators and principal != EFFECT.principal:
            message = (
                f"only operators change agent pools, and {principal!r} is none; add it to `scaling.operator_principals`"
            )
            raise Refusal("PERMISSION_DENIED", message)

    def _check_space(self) -> None:
        if self.live_bytes + _POOL_BYTES > self.rules.max_live_bytes:
            message = f"the service holds as much as {self.rules.max_live_bytes} bytes allow; delete a pool first"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=5_000)

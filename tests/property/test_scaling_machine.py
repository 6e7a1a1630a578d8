"""The machine over any course of demand, agents that come, work, fail and go, changes by hand, and take-overs.

What must hold whatever happens: the number stays within its bounds, the driver is never asked for fewer agents than are
to stay and still work, nobody that works is let go inside its drain limit, and a machine that is loaded from the rows
goes on exactly as the one that wrote them.
"""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.scaling_machine import Played, row
from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_scaling.codec import ScalingCodec
from tercio_scaling.state.commands import (
    CoordinateScaling,
    DeletePool,
    EndSurge,
    ReportScaling,
    ScalePool,
    SetBudget,
    SurgePool,
    Wish,
)
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.rows import BudgetRow, EventKind, Outcome, VictimPhase
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.session import Session
from tercio_scaling.state.views import targets

DRAIN_LIMIT = 20_000
POOLS = st.sampled_from(["p", "q"])


class Fleet(RuleBasedStateMachine):
    """Two pools under one budget."""

    def __init__(self) -> None:
        super().__init__()
        self.played = Played(Rules(max_events=20, history=600_000))

    @initialize(
        least=st.integers(0, 3),
        more=st.integers(0, 5),
        step=st.integers(1, 4),
        slots=st.integers(1, 3),
        quiet=st.sampled_from([0, 5_000]),
    )
    def declare(self, least: int, more: int, step: int, slots: int, quiet: int) -> None:
        self.played.do(SetBudget(BudgetRow("both", most=9)))
        for name in ("p", "q"):
            pool = AgentPool(
                name,
                least=least,
                most=max(1, least + more),
                up_step=step,
                down_step=step,
                slots=slots,
                cooldown=quiet,
                window=quiet,
                sustained=quiet,
            )
            self.played.apply(row(pool, budget_id="both", drain_limit=DRAIN_LIMIT, startup_timeout=10_000))

    @rule(waiting=st.integers(0, 12), arrived=st.integers(0, 5))
    def demand(self, waiting: int, arrived: int) -> None:
        self.played.waiting = waiting
        self.played.arrived += arrived

    @rule()
    def look(self) -> None:
        busy = self._busy_and_young()
        self.played.look()
        for pool_id, agent_ids in busy.items():
            if (state := self.played.tables.states.get(pool_id)) is None:
                continue
            let_go = {each.agent_id for each in state.victims if each.phase == VictimPhase.LEAVING}
            assert not let_go & agent_ids

    def _busy_and_young(self) -> dict[str, set[str]]:
        """Return who works, as it is seen, and whose drain limit is not reached, unless it was let go before."""
        found: dict[str, set[str]] = {}
        for pool_id, agents in self.played.agents.items():
            state = self.played.tables.states.get(pool_id)
            if state is None:
                continue
            old = {
                each.agent_id
                for each in state.victims
                if each.phase == VictimPhase.LEAVING or self.played.now >= each.chosen_now + DRAIN_LIMIT
            }
            found[pool_id] = {each.agent_id for each in agents if each.held and each.registered} - old
        return found

    @rule(held=st.integers(0, 2))
    def grow_busy(self, held: int) -> None:
        """Everything is driven and starts, and everybody gets work who may."""
        self.played.drive()
        self.played.start()
        for agents in self.played.agents.values():
            for agent in agents:
                agent.held = min(agent.held, held) if agent.cordoned else held
        self.look()

    @rule(pool_id=POOLS, fewer=st.integers(1, 3))
    def shrink(self, pool_id: str, fewer: int) -> None:
        """Agents are chosen, and cordoned."""
        with contextlib.suppress(Refusal):
            self.played.do(ScalePool(pool_id=pool_id, change=-fewer, reason="fewer", hold=5_000))
        self.played.drive()
        self.look()

    @rule()
    def drive(self) -> None:
        self.played.drive()

    @rule()
    def start(self) -> None:
        self.played.start()

    @rule(ms=st.integers(1, 15_000))
    def later(self, ms: int) -> None:
        self.played.later(ms)

    @rule(pool_id=POOLS, number=st.integers(0, 8), held=st.integers(0, 2))
    def work(self, pool_id: str, number: int, held: int) -> None:
        """An agent has as many attempts; one that is cordoned gets no new ones."""
        agents = [each for each in self.played.agents[pool_id] if each.registered]
        if agents:
            agent = agents[number % len(agents)]
            agent.held = min(agent.held, held) if agent.cordoned else held

    @rule(pool_id=POOLS, number=st.integers(0, 8))
    def lose(self, pool_id: str, number: int) -> None:
        agents = self.played.agents[pool_id]
        if agents:
            del agents[number % len(agents)]

    @rule(pool_id=POOLS, agents=st.integers(0, 9), hold=st.sampled_from([0, 10_000]))
    def scale(self, pool_id: str, agents: int, hold: int) -> None:
        with contextlib.suppress(Refusal):
            self.played.do(ScalePool(pool_id=pool_id, agents=agents, reason="by hand", hold=hold))

    @rule(pool_id=POOLS, most=st.integers(0, 12))
    def surge(self, pool_id: str, most: int) -> None:
        with contextlib.suppress(Refusal):
            self.played.do(SurgePool(pool_id=pool_id, reason="incident", duration=8_000, most=most))

    @rule(pool_id=POOLS)
    def end_surge(self, pool_id: str) -> None:
        with contextlib.suppress(Refusal):
            self.played.do(EndSurge(pool_id))

    @rule(agents=st.none() | st.integers(0, 9))
    def coordinate(self, agents: int | None) -> None:
        with contextlib.suppress(Refusal):
            self.played.do(CoordinateScaling(wishes=(Wish("p", agents), Wish("q")), reason="together"))

    @rule(pool_id=POOLS, failure=st.sampled_from(["", "forbidden"]))
    def report(self, pool_id: str, failure: str) -> None:
        self.played.do(ReportScaling(pool_id=pool_id, seq=self.played.seq, failure=failure))

    @precondition(lambda self: self.played.seq > 30)
    @rule(pool_id=POOLS)
    def delete(self, pool_id: str) -> None:
        with contextlib.suppress(Refusal):
            self.played.do(DeletePool(pool_id))

    @rule()
    def take_over(self) -> None:
        """Another leader goes on from the rows; what the former one has seen is lost."""
        self.played.machine = self.played.reloaded()
        self.played.session = Session()
        self.played.epoch = Epoch(1, self.played.epoch.revision + 1)
        self.played.watched = self.played.arrived = 0

    @invariant()
    def numbers_stay_within_their_bounds(self) -> None:
        tables = self.played.tables
        for state in tables.states.values():
            pool = tables.pools[state.pool_id]
            if pool.deleting:
                assert state.decided == 0
                continue
            peak = max(12, pool.pool.most)
            assert pool.pool.least <= state.decided <= peak
            if state.surge is None and state.pending:
                event = tables.events.get((state.pool_id, state.pending))
                assert event is None or event.outcome == Outcome.PENDING

    @invariant()
    def a_driver_is_asked_for_all_that_stay_or_still_work(self) -> None:
        for target in targets(self.played.tables):
            state = self.played.tables.states[target.pool_id]
            holding = sum(each.holds for each in state.victims)
            assert target.agents >= state.decided + holding + state.owed
            assert not {agent_id for agent_id, _ in target.victims} & {
                each.agent_id for each in state.victims if each.holds
            }

    @invariant()
    def what_is_loaded_is_what_was_written(self) -> None:
        loaded: Any = self.played.reloaded().tables
        for name, table in self.played.tables.tables.items():
            assert {ScalingCodec().encode_row(name, each) for each in table.values()} == {
                ScalingCodec().encode_row(name, each) for each in loaded.tables[name].values()
            }

    @invariant()
    def every_number_is_told(self) -> None:
        for state in self.played.tables.states.values():
            told = [
                event
                for event in self.played.tables.history.of(state.pool_id).values()
                if event.kind in (EventKind.SCALED_UP, EventKind.SCALED_DOWN)
            ]
            if told:
                assert max(told, key=lambda event: event.number).after == state.decided


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=40, stateful_step_count=40)

"""The registry's rules hold for any order of registrations, heartbeats, silences, stops and take-overs.

The model knows what really happened: when each process sent a heartbeat that was heard, and since when a leader has
been listening without a gap. After each step the tables also equal their own replay and their own snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.registry_machine import Driver, rows
from tercio_common.errors import Refusal
from tercio_registry.state.commands import CordonAgent, DeregisterAgent, DrainAgent, RecordPerformance
from tercio_registry.state.filters import AgentFilter
from tercio_registry.state.listing import list_agents
from tercio_registry.state.rules import Rules
from tercio_registry.state.totals import Counted, Totals
from tercio_registry.state.views import State

RULES = Rules(interval=1_000, retention=20_000)
LAG = RULES.granularity + RULES.interval // 4
"""How late a deadline may be handled: rounded up, and at the next step of the driver."""

agent_ids = st.sampled_from(["a", "b", "c"])
secrets = st.sampled_from(["mine", "theirs"])
instances = st.sampled_from([b"1" * 16, b"2" * 16])


@dataclass
class Truth:
    """What a process of the fleet did, as the world saw it."""

    secret: str
    instance: bytes
    incarnation: int
    heard: int  # last registration or heartbeat that a leader heard
    by_this_leader: bool
    left: bool = False


class Registry(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(RULES)
        self.truth: dict[str, Truth] = {}
        self.highest: dict[str, int] = {}
        self.listening_since = 0
        self.counted: dict[str, tuple[bytes, Totals]] = {}
        self.ended: dict[str, tuple[int, int]] = {}

    @rule(agent_id=agent_ids, secret=secrets, instance=instances)
    def register(self, agent_id: str, secret: str, instance: bytes) -> None:
        before = self.driver.machine.agents.get(agent_id)
        if before is not None and before.fingerprint != secret:
            with pytest.raises(Refusal, match="AGENT_IMPOSTOR"):
                self.driver.register(agent_id, secret=secret, instance=instance)
            return
        row = self.driver.register(agent_id, secret=secret, instance=instance).row
        same = before is not None and before.active and before.instance_id == instance
        highest = self.highest.get(agent_id, 0)
        assert row.incarnation == highest if same else row.incarnation > highest
        self.highest[agent_id] = row.incarnation
        self.truth[agent_id] = Truth(secret, instance, row.incarnation, self.driver.now, by_this_leader=True)

    @rule(agent_id=agent_ids, behind=st.integers(-1, 2))
    def beat(self, agent_id: str, behind: int) -> None:
        incarnation = self.highest.get(agent_id, 0) - behind
        row = self.driver.machine.agents.get(agent_id)
        reason = self.driver.beat(agent_id, incarnation)
        if row is None or incarnation > row.incarnation:
            assert reason == "AGENT_NOT_FOUND"
        elif incarnation < row.incarnation:
            assert reason == "AGENT_REPLACED"
        elif not row.active:
            assert reason == "AGENT_GONE"
        else:
            assert reason == ""
            truth = self.truth[agent_id]
            truth.heard, truth.by_this_leader = self.driver.now, True
            assert self.driver.state(agent_id) in {State.HEALTHY, State.DEGRADED}

    @rule(duration=st.integers(1, 4_500))
    def listen(self, duration: int) -> None:
        """Time passes. The driver checks its invariants at each tick, this class after each quarter of an interval."""
        end = self.driver.now + duration
        while self.driver.now < end:
            self.driver.listen(min(250, end - self.driver.now))
            self.nobody_is_gone_too_early()

    @rule(duration=st.integers(1_001, 30_000))
    def stop_the_leader(self, duration: int) -> None:
        alive = [row.agent_id for row in self.driver.machine.agents.values() if row.active]
        self.driver.sleep(duration)
        self.listening_since = self.driver.now
        assert all(self.driver.machine.agents[each].active for each in alive), "declared gone without listening"

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()
        self.listening_since = self.driver.now
        for truth in self.truth.values():
            truth.by_this_leader = False

    @rule(agent_id=agent_ids, cordoned=st.booleans())
    def cordon(self, agent_id: str, cordoned: bool) -> None:
        self._on_active(agent_id, CordonAgent(agent_id=agent_id, cordoned=cordoned, reason="why"))

    @rule(agent_id=agent_ids)
    def drain(self, agent_id: str) -> None:
        self._on_active(agent_id, DrainAgent(agent_id=agent_id))

    @rule(agent_id=agent_ids, ended=st.tuples(st.integers(0, 3), st.integers(0, 3)), times=st.integers(1, 2))
    def count(self, agent_id: str, ended: tuple[int, int], times: int) -> None:
        """The present process ends some attempts, and tells its totals as often as it likes."""
        row = self.driver.machine.agents.get(agent_id)
        if row is None:
            return
        instance, former = self.counted.get(agent_id, (b"", Totals()))
        if instance != row.instance_id:
            former = Totals()
        totals = Totals(former.succeeded + ended[0], former.failed + ended[1], former.run_micros + 7 * ended[0])
        self.counted[agent_id] = row.instance_id, totals
        succeeded, failed = self.ended.get(agent_id, (0, 0))
        self.ended[agent_id] = succeeded + ended[0], failed + ended[1]
        counted = Counted(agent_id=agent_id, instance_id=row.instance_id, types=(("t", totals),))
        for _ in range(times):
            self.driver.do(RecordPerformance((counted,)))

    @invariant()
    def each_attempt_counts_once(self) -> None:
        histories = self.driver.machine.performance.table
        for agent_id in [each for each in self.ended if each not in self.driver.machine.agents]:
            assert agent_id not in histories
            del self.ended[agent_id], self.counted[agent_id]
        for agent_id, ended in self.ended.items():
            (history,) = histories[agent_id].types
            assert (history.succeeded, history.failed) == ended
            assert history.average_micros == (7 if history.succeeded else 0)

    @rule(agent_id=agent_ids, stale=st.booleans())
    @precondition(lambda self: self.truth)
    def deregister(self, agent_id: str, stale: bool) -> None:
        row = self.driver.machine.agents.get(agent_id)
        stale = stale and row is not None and row.incarnation > 1
        incarnation = (row.incarnation - stale) if row else 1
        command = DeregisterAgent(agent_id=agent_id, incarnation=incarnation)
        if row is None or stale:
            with pytest.raises(Refusal, match="AGENT_REPLACED" if row else "AGENT_NOT_FOUND"):
                self.driver.do(command)
            return
        shown = self.driver.do(command)
        assert shown.state in {State.DEREGISTERED, State.GONE}
        self.truth[agent_id].left = True

    def _on_active(self, agent_id: str, command: object) -> None:
        row = self.driver.machine.agents.get(agent_id)
        if row is not None and row.active:
            self.driver.do(command)
            return
        with pytest.raises(Refusal, match="AGENT_NOT_ACTIVE" if row else "AGENT_NOT_FOUND"):
            self.driver.do(command)

    @invariant()
    def nobody_is_gone_too_early(self) -> None:
        for agent_id, truth in list(self.truth.items()):
            row = self.driver.machine.agents.get(agent_id)
            if row is None:
                assert truth.left, "an active agent was forgotten"
                del self.truth[agent_id]
            elif self.driver.state(agent_id) is State.GONE and not truth.left:
                start = max(truth.heard, self.listening_since)
                assert row.ended_now - start >= RULES.ttl, "declared gone before a full TTL of listening"
                truth.left = True

    @invariant()
    def health_follows_from_the_last_heartbeat(self) -> None:
        now = self.driver.now
        for agent_id, truth in self.truth.items():
            if agent_id not in self.driver.machine.agents:
                continue
            state = self.driver.state(agent_id)
            age = now - max(truth.heard, self.listening_since)
            if state is State.HEALTHY:
                assert truth.by_this_leader, "shown healthy by a leader that never heard it"
                assert age < RULES.degraded_after + LAG
            elif state is State.DEGRADED:
                assert truth.by_this_leader
                assert age < RULES.unhealthy_after + LAG
            elif state is State.UNHEALTHY:
                assert truth.by_this_leader
                assert age < RULES.ttl + LAG
            elif state is State.UNCONFIRMED:
                assert not truth.by_this_leader
                assert age < RULES.ttl + LAG

    @invariant()
    def replay_and_snapshot_give_the_same_tables(self) -> None:
        expected = rows(self.driver.machine)
        assert rows(self.driver.replayed()) == expected
        assert rows(self.driver.reloaded()) == expected

    @invariant()
    def pages_give_every_agent_once(self) -> None:
        driver, after, seen = self.driver, "", []
        while True:
            page = list_agents(
                driver.machine.agents,
                driver.machine.order,
                driver.moment(),
                session=driver.session,
                selected=AgentFilter(states=frozenset(State)),
                after=after,
                size=2,
            )
            seen += [agent.row.agent_id for agent in page.agents]
            if not (after := page.after):
                break
        assert seen == sorted(row.agent_id for row in driver.machine.agents.values())


Registry.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestRegistryMachine = Registry.TestCase

"""Any sequence of commands keeps the invariants, and its journal or a snapshot gives the same state again."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.scheduler_drive import Drive, contents
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Tick
from tercio_scheduler.state.columns import Failure
from tercio_scheduler.state.commands import AttemptKey, CancelPlan, CancelTask, RetryTask
from tercio_scheduler.state.explain import explain
from tercio_scheduler.state.interventions import Intervene, Kind
from tercio_scheduler.state.invariants import check
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.recall import RIPE_MS
from tercio_scheduler.state.rows import LIVE_ATTEMPT, TERMINAL, Outcome, State, Template
from tercio_scheduler.state.session import Standing
from tercio_scheduler.state.views import list_tasks

AGENTS = ("ada", "bob", "eve")
TASKS = tuple(f"t{number}" for number in range(14))
TEMPLATES = (
    Template(task_type="work"),
    Template(task_type="work", priority=9, max_attempts=1),
    Template(task_type="work", priority=0, attempt_timeout_ms=4_000, initial_backoff_ms=0),
    Template(task_type="solve", required_capabilities=(("python", 3),), deadline_in_ms=9_000),
    Template(task_type="pinned", target_agent_id="eve", max_attempts=2),
)
LIMITS = Limits(attempt_lease_ms=3_000, ageing_step_ms=2_000, retention_ms=20_000, retention_count=8, live_bytes=8_000)

agents = st.sampled_from(AGENTS)
tasks = st.sampled_from(TASKS)
task_lists = st.lists(tasks, min_size=1, max_size=5, unique=True)
picks = st.lists(st.integers(0, 30), max_size=4)


class SchedulerSequences(RuleBasedStateMachine):
    """Clients, agents, time and leaders, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.drive = Drive(LIMITS)
        self.recorded: dict[tuple[str, int], AttemptKey] = {}
        self.instances = dict.fromkeys(AGENTS, b"0")
        self.issued: list[tuple[str, bytes, AttemptKey]] = []
        self.minted: set[AttemptKey] = set()
        self.replica = self.drive.from_snapshot()
        self.replica_at = 0

    @initialize()
    def two_agents_come(self) -> None:
        for agent_id in AGENTS[:2]:
            self.hello(agent_id, listed=True)

    @rule(
        task_ids=task_lists,
        template=st.sampled_from(TEMPLATES),
        parents=st.dictionaries(st.integers(0, 4), st.lists(tasks, min_size=1, max_size=3, unique=True), max_size=3),
        plan_id=st.sampled_from(("", "", "p1", "p2")),
        whole=st.booleans(),
        payload=st.sampled_from((b"", b"x", b"y" * 700)),
    )
    def submit(self, task_ids, template, parents, plan_id, whole, payload):
        after = {
            task_ids[place]: [parent for parent in names if parent != task_ids[place]]
            for place, names in parents.items()
            if place < len(task_ids)
        }
        with suppress(Refusal):
            reply = self.drive.submit(
                *task_ids,
                template=template,
                after={task_id: names for task_id, names in after.items() if names},
                payload=payload,
                plan_id=plan_id,
                whole=whole,
            )
            refused = {entry.task_id for entry in reply.refused}
            if not reply.plan:
                assert all(task_id in self.drive.machine.tables.tasks for task_id in task_ids if task_id not in refused)

    @rule(place=st.integers(0, 13), size=st.integers(2, 4), deep=st.booleans())
    def submit_a_family(self, place, size, deep):
        """A parent with children, each waiting for the first or for the one before."""
        family = [TASKS[(place + number) % len(TASKS)] for number in range(size)]
        parents = {child: [family[number] if deep else family[0]] for number, child in enumerate(family[1:])}
        with suppress(Refusal):
            self.drive.submit(*family, after=parents)

    @rule()
    def a_replica_loads_a_snapshot(self):
        self.replica = self.drive.from_snapshot()
        self.replica_at = len(self.drive.journal)

    @rule(agent_id=agents, listed=st.booleans(), omit=picks)
    def hello(self, agent_id, listed=True, omit=()):
        held = self.held(agent_id) if listed else []
        kept = [key for place, key in enumerate(held) if place not in omit]
        started = [key for key in kept if self.drive.state(key.task_id) is not State.OFFERED or len(kept) % 2]
        self.drive.attach(
            agent_id,
            instance=self.instances[agent_id],
            concurrency=3,
            capabilities={"python": 3} if agent_id == "ada" else {},
            offered=[key for key in kept if key not in started],
            started=started,
        )

    @rule(agent_id=agents)
    def agent_dies_and_starts_anew(self, agent_id):
        self.instances[agent_id] += b"+"
        self.hello(agent_id, listed=False)
        assert not self.held(agent_id)

    @rule(agent_id=agents)
    def stream_closes(self, agent_id):
        self.drive.session.detach(agent_id, instance_id=self.instances[agent_id])

    @rule(limit=st.integers(1, 8), uncommitted=st.integers(0, 3))
    def dispatch(self, limit, uncommitted):
        drive = self.drive
        drive.committed = max(0, drive.seq - uncommitted)
        committed, before = drive.committed, {task_id: drive.row(task_id) for task_id in drive.states()}
        given = drive.dispatch(limit)
        drive.committed = None
        assert sum(map(len, given.values())) <= limit
        for agent_id, task_ids in given.items():
            link = drive.link(agent_id)
            assert link.connected
            assert len(self.held(agent_id)) <= link.credit
            for task_id in task_ids:
                assert before[task_id].ready.seq <= committed
                assert link.fits(before[task_id].spec.template.requirement)
                key = drive.attempt(task_id)
                assert key not in self.minted
                self.minted.add(key)
                self.issued.append((agent_id, link.instance_id, key))

    @rule(agent_id=agents, credit=st.integers(1, 9), wait_ms=st.sampled_from((0, RIPE_MS)), answers=picks)
    def recall(self, agent_id, credit, wait_ms, answers):
        """Agents are asked for attempts that they hold unbegun, each once, and return some of them."""
        drive = self.drive
        drive.session.set_credit(agent_id, credit=credit)
        drive.pass_time(wait_ms)
        asked = drive.recall()
        assert drive.recall() == {}
        for holder, task_ids in asked.items():
            assert {drive.state(task_id) for task_id in task_ids} == {State.OFFERED}
            link = drive.link(holder)
            assert not link.takes_work or len(self.held(holder)) - len(task_ids) >= link.concurrency
            for task_id in [task_id for place, task_id in enumerate(task_ids) if place in answers]:
                failures = drive.row(task_id).past.failures
                drive.end(task_id, outcome=Outcome.RETURNED)
                assert drive.state(task_id) is State.READY
                assert drive.row(task_id).past.failures == failures

    @rule(agent_id=agents, cordoned=st.booleans())
    def the_registry_cordons(self, agent_id, cordoned):
        self.drive.session.set_standing(agent_id, Standing(cordoned=True) if cordoned else None)

    @rule(
        agent_id=agents,
        chosen=picks,
        start=picks,
        outcomes=st.lists(st.sampled_from(Outcome), min_size=5, max_size=5),
        permanent=st.booleans(),
        repeat=st.booleans(),
        save=st.booleans(),
    )
    def report(self, agent_id, chosen, start, outcomes, permanent, repeat, save):
        mine = [(instance, key) for owner, instance, key in self.issued if owner == agent_id]
        if not mine:
            return
        keys = [mine[number % len(mine)][1] for number in chosen]
        keys += keys[:1] if repeat else []
        started = [mine[number % len(mine)][1] for number in start]
        instance = mine[chosen[0] % len(mine)][0] if chosen else mine[0][0]
        before = {key: self.is_present(agent_id, instance, key) for key in keys}
        reply = self.drive.report(
            agent_id=agent_id,
            instance=instance,
            started=started,
            ended=keys,
            outcomes=[outcomes[place % 5] for place in range(len(keys))],
            results=[b"r" if outcomes[place % 5] is Outcome.SUCCEEDED else b"" for place in range(len(keys))],
            failures={0: Failure("BROKEN", "it broke", permanent)} if keys else None,
            checkpoints={keys[0]: b"half"} if save and keys else None,
        )
        assert {key for key, present in before.items() if not present} <= set(reply.stale)
        assert not {key for key, present in before.items() if present} & set(reply.stale)

    @rule(
        starts=st.booleans(),
        outcomes=st.lists(st.sampled_from(Outcome), min_size=1, max_size=6),
        save=st.booleans(),
        wait_ms=st.integers(0, 3_000),
    )
    def work_flows(self, starts, outcomes, save, wait_ms):
        """Agents come back, take what is ready and end some of it: without this, random sequences seldom get far."""
        for agent_id in AGENTS:
            self.hello(agent_id, listed=True)
        self.dispatch(8, 0)
        self.drive.pass_time(wait_ms)
        for agent_id in AGENTS:
            held = self.held(agent_id)
            ended = [key for key, _ in zip(held, outcomes, strict=False)]
            reply = self.drive.report(
                agent_id=agent_id,
                instance=self.instances[agent_id],
                started=held if starts else [],
                ended=ended,
                outcomes=outcomes[: len(ended)],
                checkpoints=dict.fromkeys(held, b"half") if save else None,
            )
            assert not reply.stale

    @rule(duration_ms=st.integers(0, 4_000), beating=st.sets(agents))
    def time_passes(self, duration_ms, beating):
        self.drive.pass_time(duration_ms)
        for agent_id in beating:
            self.drive.session.renew(agent_id, now=self.drive.now)

    @rule(limit=st.integers(1, 3))
    def one_small_tick(self, limit):
        self.drive.propose(Tick(limit=limit))

    @rule(listening=st.sets(agents))
    def leader_changes(self, listening):
        self.drive.take_over()
        for agent_id in sorted(listening):
            self.hello(agent_id, listed=True)

    @rule(place=st.integers(0, 30))
    def cancel(self, place):
        task_id = self.some_task(place)
        with suppress(Refusal):
            row = self.drive.propose(CancelTask(task_id=task_id, reason="enough"))
            assert row.state is self.drive.state(task_id)

    @rule(place=st.integers(0, 30))
    def retry(self, place):
        task_id = self.some_task(place)
        with suppress(Refusal):
            row = self.drive.propose(RetryTask(task_id=task_id))
            assert row.state is self.drive.state(task_id)
            assert row.past.failures == 0

    @rule(plan_id=st.sampled_from(("p1", "p2")))
    def cancel_plan(self, plan_id):
        with suppress(Refusal):
            plan = self.drive.propose(CancelPlan(plan_id=plan_id, reason="enough"))
            assert plan == self.drive.machine.tables.plans[plan_id]

    @rule(kind=st.sampled_from(Kind), place=st.integers(0, 30), after=st.integers(0, 30), priority=st.integers(0, 9))
    def somebody_intervenes(self, kind, place, after, priority):
        task_id = self.some_task(place)
        command = Intervene(kind=kind, task_id=task_id, after_task_id=self.some_task(after), priority=priority)
        before = self.drive.machine.tables.tasks.get(task_id)
        reply = self.drive.propose(command)
        assert reply.done or self.drive.machine.tables.tasks.get(task_id) == before

    @rule(place=st.integers(0, 30))
    def explain(self, place):
        task_id = self.some_task(place)
        with suppress(Refusal):
            explanation = explain(self.drive.machine.tables, self.drive.session, task_id, self.drive.moment())
            assert explanation.summary

    @rule(agent_id=agents, task_ids=task_lists)
    def a_command_is_undone(self, agent_id, task_ids):
        before = contents(self.drive.machine)
        journal, seq = len(self.drive.journal), self.drive.seq
        with suppress(Refusal):
            self.drive.submit(*task_ids, payload=b"undone", whole=False)
            self.drive.machine.tables.rollback()
        del self.drive.journal[journal:]
        self.drive.seq = seq
        assert contents(self.drive.machine) == before

    @invariant()
    def all_indexes_agree(self):
        assert check(self.drive.machine) == []

    @invariant()
    def one_result_a_task_is_ever_recorded(self):
        for row in self.drive.machine.tables.tasks.values():
            if row.state is State.SUCCEEDED:
                attempt = self.drive.attempt(row.task_id)
                assert self.recorded.setdefault((row.task_id, row.spec.order), attempt) == attempt

    @invariant()
    def a_snapshot_and_what_came_later_give_the_same_state(self):
        for at, data in self.drive.journal[self.replica_at :]:
            self.replica.apply(self.drive.codec.decode_event(data), at)
        self.replica_at = len(self.drive.journal)
        assert contents(self.replica) == contents(self.drive.machine)
        assert check(self.replica) == []

    @invariant()
    def journal_and_snapshot_give_the_same_state(self):
        present = contents(self.drive.machine)
        replayed, loaded = self.drive.replayed(), self.drive.from_snapshot()
        assert contents(replayed) == present
        assert contents(loaded) == present
        assert check(replayed) == []
        assert check(loaded) == []
        order = [row.task_id for row in list_tasks(self.drive.machine.tables, limit=1000).rows]
        assert [row.task_id for row in list_tasks(loaded.tables, limit=1000).rows] == order

    def teardown(self) -> None:
        """Left alone with agents that never come back, every attempt ends and every finished task goes."""
        drive = self.drive
        drive.session.agents.clear()
        drive.pass_time(700_000)
        assert not [row for row in drive.machine.tables.tasks.values() if row.state in LIVE_ATTEMPT | TERMINAL]

    def some_task(self, place: int) -> str:
        known = sorted(self.drive.states())
        return known[place % len(known)] if known else "unknown"

    def held(self, agent_id: str) -> list[AttemptKey]:
        return [self.drive.attempt(task_id) for task_id in self.drive.machine.tables.index.by_agent.get(agent_id, ())]

    def is_present(self, agent_id: str, instance: bytes, key: AttemptKey) -> bool:
        row = self.drive.machine.tables.tasks.get(key.task_id)
        return (
            row is not None
            and row.state in LIVE_ATTEMPT
            and self.drive.attempt(key.task_id) == key
            and row.offer is not None
            and (row.offer.agent_id, row.offer.instance_id) == (agent_id, instance)
        )


TestSchedulerSequences = SchedulerSequences.TestCase
TestSchedulerSequences.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

"""Attempts hold what they need, whatever is interrupted between the scheduler and the resources service.

Both services are their real state machines; what lies between them is a network that loses, repeats and delays.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.resources_machine import Driver, spec
from support.scheduler_drive import Drive, contents
from tercio_common.errors import Refusal
from tercio_common.machine.outbox import AcknowledgeOutbox
from tercio_common.machine.protocol import Moment
from tercio_resources.state.commands import Allocate, Release
from tercio_resources.state.grants import Granted
from tercio_scheduler.state import admission
from tercio_scheduler.state.admission import key_of, owner_of
from tercio_scheduler.state.commands import (
    Admissions,
    AttemptKey,
    CancelTask,
    RetryTask,
    RevokeUngranted,
    SettleAdmissions,
    StartAdmissions,
)
from tercio_scheduler.state.events import AdmissionsEnded
from tercio_scheduler.state.invariants import check
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.participants import RESOURCES, release_kind, released_owner
from tercio_scheduler.state.rows import TERMINAL, Outcome, Template
from tercio_scheduler.state.tables import SchedulerTables

TASKS = tuple(f"t{number}" for number in range(8))
NEEDS = tuple(Template(task_type="work", resources=(("cpu", amount),), max_attempts=2) for amount in (100, 300, 600))
PLAIN = Template(task_type="work")
LIMITS = Limits(attempt_lease_ms=3_000, granted_lease_ms=9_000, retention_ms=20_000)
tasks = st.sampled_from(TASKS)


class Asked(NamedTuple):
    """A call that is under way; `answer` once the resources service has decided it."""

    leader: int
    request: Admissions
    answer: Granted | None = None


class AdmissionSequences(RuleBasedStateMachine):
    """Clients, an agent, two services, their leaders and the network between them."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler, self.resources = Drive(LIMITS), Driver()
        self.leader = 0
        self.calls: list[Asked] = []
        self.minted: set[AttemptKey] = set()
        self.scheduler.attach(concurrency=4)

    @rule(task_id=tasks, template=st.sampled_from((*NEEDS, PLAIN)))
    def submit(self, task_id, template):
        with suppress(Refusal):
            self.scheduler.submit(task_id, template=template)

    @rule()
    def start(self):
        request = self.scheduler.propose(StartAdmissions())
        assert not self.minted & set(request.keys)
        self.minted |= set(request.keys)
        if request.keys:
            self.calls.append(Asked(self.leader, request))

    @precondition(lambda self: self.calls)
    @rule(place=st.integers(0, 9))
    def the_call_arrives(self, place):
        """It may come late: after its attempts were given up, and released. Repetitions are known by their id."""
        place %= len(self.calls)
        asked = self.calls[place]
        if asked.answer is None:
            self.calls[place] = asked._replace(answer=self._decide(asked.request))

    @precondition(lambda self: any(call.answer for call in self.calls))
    @rule(place=st.integers(0, 9))
    def the_answer_arrives(self, place):
        answered = [call for call in self.calls if call.answer]
        asked = answered[place % len(answered)]
        self.calls.remove(asked)
        if asked.leader == self.leader and asked.answer is not None:  # else the one who asked is no more
            numbers = asked.answer.numbers
            granted = tuple(key for key, number in zip(asked.request.keys, numbers, strict=True) if number)
            refused = tuple(key for key, number in zip(asked.request.keys, numbers, strict=True) if not number)
            self.scheduler.propose(SettleAdmissions(granted=granted, refused=refused))

    @precondition(lambda self: self.calls)
    @rule(place=st.integers(0, 9), arrives=st.booleans())
    def the_answer_is_lost(self, place, arrives):
        asked = self.calls.pop(place % len(self.calls))
        if arrives and asked.answer is None:
            self._decide(asked.request)
        if asked.leader == self.leader:
            self.scheduler.propose(SettleAdmissions(given_up=asked.request.keys))

    @rule()
    def dispatch(self):
        self.scheduler.dispatch()

    @rule(place=st.integers(0, 9), outcome=st.sampled_from(Outcome))
    def an_attempt_ends(self, place, outcome):
        held = list(self.scheduler.machine.tables.index.by_agent.get("agent", ()))
        if held:
            self.scheduler.end(held[place % len(held)], outcome=outcome)

    @rule(listed=st.booleans(), anew=st.booleans())
    def the_agent_says_hello(self, listed, anew):
        held = [self.scheduler.attempt(each) for each in self.scheduler.machine.tables.index.by_agent.get("agent", ())]
        link = self.scheduler.session.agents.get("agent")
        instance = (link.instance_id if link else b"first") + (b"+" if anew else b"")
        self.scheduler.attach(instance=instance, concurrency=4, offered=held if listed else ())

    @rule(task_id=tasks, again=st.booleans())
    def cancel(self, task_id, again):
        with suppress(Refusal):
            self.scheduler.propose(CancelTask(task_id=task_id))
            if again:
                self.scheduler.propose(RetryTask(task_id=task_id))

    @rule(lost=st.booleans())
    def releases_are_delivered(self, lost):
        rows = list(self.scheduler.machine.outbox.pending(release_kind(RESOURCES), committed=self.scheduler.seq))
        if rows:
            self.resources.do(Release(owners=tuple(released_owner(row.entry_id) for row in rows)))
            if not lost:
                self.scheduler.propose(AcknowledgeOutbox(tuple(row.entry_id for row in rows)))

    @rule()
    def grants_are_renewed(self):
        owners = [owner_of(row) for row in self.scheduler.machine.tables.admissions.values() if row.granted]
        self.resources.session.renew(owners, self.resources.now)
        unknown = self.resources.machine.tables.holdings.unknown(owners)
        self.scheduler.propose(RevokeUngranted(tuple(map(key_of, unknown))))

    @rule(duration_ms=st.integers(0, 4_000), beats=st.booleans())
    def time_passes(self, duration_ms, beats):
        self.scheduler.pass_time(duration_ms)
        if beats:
            self.scheduler.session.renew("agent", now=self.scheduler.now)

    @rule(place=st.integers(0, 9))
    def the_resources_service_loses_a_grant(self, place):
        held = [row.number for row in self.resources.machine.tables.allocations.values()]
        if held:
            self.resources.do(Release(numbers=(held[place % len(held)],)))

    @rule(comes_back=st.booleans())
    def the_scheduler_changes_its_leader(self, comes_back):
        self.scheduler.take_over()
        self.leader += 1
        if comes_back:
            self.the_agent_says_hello(listed=True, anew=False)

    @invariant()
    def all_indexes_agree(self):
        assert check(self.scheduler.machine) == []
        assert contents(self.scheduler.replayed()) == contents(self.scheduler.machine)
        assert check(self.scheduler.from_snapshot()) == []

    @invariant()
    def what_is_held_is_known_or_owed(self):
        """Nothing is held for an attempt that is over, but where the release is owed or the call is under way."""
        tables = self.scheduler.machine.tables
        known = {owner_of(row) for row in tables.admissions.values()} | {
            released_owner(row.entry_id) for row in tables.outbox.table.values()
        }
        under_way = {owner_of(key) for call in self.calls for key in call.request.keys}
        held = {row.owner for row in self.resources.machine.tables.allocations.values()}
        assert held <= known | under_way

    def teardown(self) -> None:
        """Left alone with one agent that works, every task ends, and nothing is held any more."""
        scheduler = self.scheduler
        while self.calls:
            self.the_answer_is_lost(0, arrives=True)
        for _ in range(60):
            self.the_agent_says_hello(listed=True, anew=False)
            self.grants_are_renewed()
            self.start()
            while self.calls:
                self.the_call_arrives(0)
                self.the_answer_arrives(0)
            self.dispatch()
            for task_id in list(scheduler.machine.tables.index.by_agent.get("agent", ())):
                scheduler.end(task_id)
            scheduler.pass_time(1_000)
            self.releases_are_delivered(lost=False)
        assert not [row for row in scheduler.machine.tables.tasks.values() if row.state not in TERMINAL]
        assert not list(self.resources.machine.tables.allocations.values())
        assert not scheduler.machine.tables.admissions

    def _decide(self, request: Admissions) -> Granted:
        """Decide a call; its items stand in the order of the attempts."""
        specs = tuple(spec(dict(needs.resources)) for needs in request.needs)
        command = Allocate(specs=specs, owners=tuple(map(owner_of, request.keys)), indexes=tuple(range(len(specs))))
        answer: Granted = self.resources.do(command)
        return answer


TestAdmission = AdmissionSequences.TestCase
TestAdmission.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def _forget_to_release(tables: SchedulerTables, event: AdmissionsEnded, at: Moment) -> None:
    for task_id in event.task_ids:
        admission._void(tables, tables.admissions[task_id], at)
        tables.admissions.delete(task_id)


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        pytest.param("apply_ended", _forget_to_release, id="what is over is never released"),
        pytest.param("give_up", lambda _tables: [], id="a new leader offers what its predecessor admitted"),
    ],
)
def test_a_saga_with_a_gap_would_be_found_out(monkeypatch: pytest.MonkeyPatch, name: str, mutant: object) -> None:
    monkeypatch.setattr(admission, name, mutant)
    searching = settings(
        max_examples=500, stateful_step_count=40, deadline=None, phases=[Phase.generate], report_multiple_bugs=False
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(AdmissionSequences, settings=searching)

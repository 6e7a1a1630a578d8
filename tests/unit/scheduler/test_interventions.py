"""What is done to tasks for the sake of others: done once, harmless twice, and never for ever."""

from __future__ import annotations

from itertools import pairwise

import pytest

from support.scheduler_drive import WORK, Drive
from tercio_scheduler.state import interventions
from tercio_scheduler.state.commands import CancelTask, SettleAdmissions, StartAdmissions
from tercio_scheduler.state.explain import explain
from tercio_scheduler.state.interventions import LONGEST_MS, Intervene, Intervened, Kind
from tercio_scheduler.state.invariants import check
from tercio_scheduler.state.participants import CONFLICTS, release_kind
from tercio_scheduler.state.rows import ClaimSpec, Outcome, State, Template


@pytest.fixture
def drive() -> Drive:
    drive = Drive()
    drive.attach(concurrency=1)
    return drive


def intervene(drive: Drive, kind: Kind, task_id: str, **fields: object) -> Intervened:
    reply: Intervened = drive.propose(Intervene(kind=kind, task_id=task_id, **fields))  # type: ignore[arg-type]
    drive.settle()
    assert check(drive.machine) == []
    assert drive.replayed().tables.tasks[task_id] == drive.row(task_id)
    return reply


def test_a_raised_priority_counts_at_once_and_is_never_lowered(drive: Drive) -> None:
    drive.submit("runs", "first", "urgent")
    drive.dispatch()
    assert intervene(drive, Kind.BOOST_PRIORITY, "urgent", priority=9) == Intervened()
    assert intervene(drive, Kind.BOOST_PRIORITY, "urgent", priority=2) == Intervened()
    assert drive.row("urgent").spec.template.priority == 9
    drive.end("runs")
    assert drive.dispatch() == {"agent": ["urgent"]}


def test_a_task_waits_until_the_other_one_has_ended_however_it_does(drive: Drive) -> None:
    drive.submit("later", "sooner")
    assert intervene(drive, Kind.REORDER, "later", after_task_id="sooner").done
    assert drive.dispatch() == {"agent": ["sooner"]}
    assert explain(drive.machine.tables, drive.session, "later", drive.moment()).summary == (
        "It waits until task sooner has ended."
    )
    drive.propose(CancelTask(task_id="sooner"))
    drive.end("sooner", outcome=Outcome.CANCELLED)
    drive.settle()
    assert drive.dispatch() == {"agent": ["later"]}


def test_a_task_that_waits_for_another_goes_on_after_half_an_hour_in_any_case(drive: Drive) -> None:
    drive.submit("endless", "later")
    drive.dispatch()
    intervene(drive, Kind.REORDER, "later", after_task_id="endless")
    drive.session.renew("agent", now=drive.now + LONGEST_MS)
    drive.pass_time(LONGEST_MS - 1)
    assert drive.state("later") is State.BACKOFF
    drive.pass_time(1)
    assert drive.state("later") is State.READY
    assert not len(drive.machine.tables.postponements)


def test_a_held_task_leaves_its_agent_and_waits(drive: Drive) -> None:
    drive.submit("holds", "other")
    drive.dispatch()
    drive.run("holds")
    key = drive.attempt("holds")
    reply = intervene(drive, Kind.HOLD, "holds", after_task_id="other", because="two edit one file")
    assert reply.taken is not None
    assert (reply.taken.agent_id, reply.taken.key) == ("agent", key)
    assert (drive.state("holds"), drive.row("holds").past.failures) == (State.BACKOFF, 0)
    assert drive.dispatch() == {"agent": ["other"]}
    drive.end("other")
    drive.settle()
    assert drive.dispatch() == {"agent": ["holds"]}
    assert drive.attempt("holds") > key


def test_a_revoked_task_is_queued_again_without_a_failure(drive: Drive) -> None:
    drive.submit("t")
    drive.dispatch()
    drive.run("t")
    assert intervene(drive, Kind.REVOKE, "t").taken is not None
    assert (drive.state("t"), drive.row("t").past.failures) == (State.READY, 0)
    assert intervene(drive, Kind.REVOKE, "t") == Intervened()


def test_what_a_postponed_task_was_granted_is_given_back(drive: Drive) -> None:
    claiming = Template(task_type="work", claims=(ClaimSpec(1, "", "a", 3),))
    drive.submit("claims", template=claiming)
    drive.submit("other")
    keys = drive.propose(StartAdmissions(participants=(CONFLICTS,))).keys
    drive.propose(SettleAdmissions(granted=keys))
    intervene(drive, Kind.REORDER, "claims", after_task_id="other")
    assert drive.machine.outbox.count(release_kind(CONFLICTS)) == 1


@pytest.mark.parametrize("chain", [("a", "b"), ("a", "b", "c")], ids=["two", "three"])
def test_tasks_never_wait_for_each_other(drive: Drive, chain: tuple[str, ...]) -> None:
    drive.submit(*chain)
    for task_id, after in pairwise(chain):
        assert intervene(drive, Kind.REORDER, task_id, after_task_id=after).done
    refused = intervene(drive, Kind.REORDER, chain[-1], after_task_id=chain[0])
    assert refused == Intervened(done=False, message=f"task '{chain[0]}' waits for it")


def test_a_child_is_not_waited_for_by_its_parent(drive: Drive) -> None:
    drive.submit("parent", "child", after={"child": ["parent"]})
    assert not intervene(drive, Kind.REORDER, "parent", after_task_id="child").done
    assert intervene(drive, Kind.REORDER, "child", after_task_id="parent").message == (
        "it waits for tasks that must succeed first"
    )


def test_what_makes_no_sense_any_more_is_told(drive: Drive) -> None:
    drive.submit("t", "other")
    drive.dispatch()
    assert intervene(drive, Kind.REORDER, "t", after_task_id="other") == Intervened(False, "it runs already")
    assert intervene(drive, Kind.REORDER, "other", after_task_id="gone").message == "task 'gone' has ended already"
    drive.end("t")
    assert intervene(drive, Kind.REVOKE, "t").message == "task 't' has ended, or is not kept"
    drive.submit("own", template=Template(task_type="tercio.canary", target_agent_id="x"))
    assert intervene(drive, Kind.BOOST_PRIORITY, "own", priority=9).message == "it is one of the fleet's own tasks"


def test_only_so_many_wait_for_others(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interventions, "_MOST", 1)
    drive.submit("a", "b", "c", template=WORK)
    assert intervene(drive, Kind.REORDER, "a", after_task_id="c").done
    assert intervene(drive, Kind.REORDER, "b", after_task_id="c").message == "1 tasks wait for others already"


def test_asked_twice_it_happens_once(drive: Drive) -> None:
    drive.submit("a", "b")
    intervene(drive, Kind.REORDER, "a", after_task_id="b")
    seq = drive.seq
    assert intervene(drive, Kind.REORDER, "a", after_task_id="b") == Intervened()
    assert drive.seq == seq


def test_postponements_survive_a_snapshot(drive: Drive) -> None:
    drive.submit("a", "b")
    intervene(drive, Kind.REORDER, "a", after_task_id="b")
    loaded = drive.from_snapshot()
    assert list(loaded.tables.postponements.values()) == list(drive.machine.tables.postponements.values()) != []

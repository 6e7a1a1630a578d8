from itertools import pairwise

import pytest

from support.scheduler_drive import Drive
from tercio_scheduler.state.commands import CancelTask, Dispatch
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.rows import Outcome, State, Template
from tercio_scheduler.state.session import AgentLink, Standing


def work(**fields):
    return Template(task_type="work", **fields)


def test_higher_priority_goes_first_and_equals_in_the_order_of_acceptance():
    drive = Drive()
    drive.submit("low", template=work(priority=1))
    drive.submit("first", "second")
    drive.submit("high", template=work(priority=9))
    drive.attach()
    assert drive.dispatch() == {"agent": ["high", "first", "second", "low"]}


def test_waiting_raises_the_priority_by_one_a_step():
    drive = Drive(Limits(ageing_step_ms=1_000))
    drive.submit("old", template=work(priority=3))
    drive.pass_time(3_000)
    drive.submit("new", template=work(priority=5))
    drive.submit("newer", template=work(priority=7))
    drive.attach()
    assert drive.dispatch() == {"agent": ["newer", "old", "new"]}


def test_ageing_ends_at_the_highest_priority():
    drive = Drive(Limits(ageing_step_ms=1))
    drive.submit("low", template=work(priority=0))
    drive.pass_time(10_000)
    drive.submit("urgent", template=work(priority=9))
    drive.attach()
    assert drive.dispatch() == {"agent": ["low", "urgent"]}


def test_an_agent_gets_no_more_than_its_credit():
    drive = Drive()
    drive.submit(*"abcdef")
    drive.attach(concurrency=2)
    assert drive.dispatch() == {"agent": ["a", "b"]}
    drive.session.set_credit("agent", credit=3)
    assert drive.dispatch() == {"agent": ["c"]}
    drive.end("a")
    assert drive.dispatch() == {"agent": ["d"]}


def test_work_is_spread_by_load_for_the_agents_size():
    drive = Drive()
    drive.attach("big", concurrency=4)
    drive.attach("small", concurrency=2)
    drive.submit(*"abcdef")
    given = drive.dispatch()
    assert {agent_id: len(task_ids) for agent_id, task_ids in given.items()} == {"big": 4, "small": 2}
    assert given["big"][0] == "a"
    assert given["small"][0] == "b"


def test_only_agents_with_the_capabilities_type_and_name_are_given_a_task():
    drive = Drive()
    drive.attach("weak", capabilities={"python": 2})
    drive.attach("strong", capabilities={"python": 3})
    drive.attach("typed", capabilities={"python": 9}, task_types=["other"])
    drive.submit("a", template=work(required_capabilities=(("python", 3),)))
    drive.submit("b", template=work(target_agent_id="weak"))
    drive.submit("c", template=Template(task_type="unheard", target_agent_id="typed"))
    assert drive.dispatch() == {"strong": ["a"], "weak": ["b"]}
    assert drive.state("c") is State.READY


def test_the_registrys_word_only_subtracts():
    drive = Drive()
    drive.submit("a")
    drive.attach()
    for standing in (Standing(cordoned=True), Standing(draining=True), Standing(unhealthy=True), Standing(gone=True)):
        drive.session.set_standing("agent", standing)
        assert drive.dispatch() == {}
    drive.session.set_standing("agent", None)
    drive.session.set_draining("agent")
    assert drive.dispatch() == {}
    drive.attach()
    drive.session.detach("agent", instance_id=b"first")
    assert drive.dispatch() == {}


def test_a_task_is_offered_only_when_what_made_it_ready_is_committed():
    drive = Drive()
    drive.attach()
    drive.submit("a")
    drive.committed = drive.seq
    drive.submit("b")
    assert drive.dispatch() == {"agent": ["a"]}
    assert drive.dispatch() == {}
    drive.committed = drive.seq
    assert drive.dispatch() == {"agent": ["b"]}


def test_a_returned_task_goes_to_the_front_but_waits_for_the_commit_of_its_return():
    drive = Drive()
    drive.attach(concurrency=1)
    drive.submit("a", "b", "c")
    drive.dispatch()
    drive.committed = drive.seq
    drive.end("a", outcome=Outcome.RETURNED)
    assert drive.row("a").past.failures == 0
    assert drive.dispatch() == {"agent": ["b"]}
    drive.committed = drive.seq
    drive.end("b")
    assert drive.dispatch() == {"agent": ["a"]}


def test_the_limit_stops_a_dispatch_and_says_so():
    drive = Drive()
    drive.attach()
    drive.submit(*"abc")
    assert drive.dispatch(2) == {"agent": ["a", "b"]}
    assert drive.dispatch(2) == {"agent": ["c"]}


def test_tasks_that_left_the_queue_from_the_middle_are_skipped():
    drive = Drive()
    drive.submit(*"abcde")
    drive.propose(CancelTask(task_id="b"))
    drive.propose(CancelTask(task_id="d"))
    drive.attach()
    assert drive.dispatch() == {"agent": ["a", "c", "e"]}


def test_numbers_of_attempts_rise_and_name_the_leader():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=work(initial_backoff_ms=0, max_attempts=9))
    keys = []
    for _ in range(3):
        drive.dispatch()
        keys.append(drive.attempt("a"))
        drive.end("a", outcome=Outcome.FAILED)
        drive.settle()
    assert [key.number for key in keys] == [1, 2, 3]
    assert all(earlier < later for earlier, later in pairwise(keys))
    assert {key.epoch for key in keys} == {drive.epoch}


def test_an_agent_is_compared_with_a_requirement_once(monkeypatch: pytest.MonkeyPatch):
    compared = 0
    fits = AgentLink.fits

    def counting(link: AgentLink, requirement) -> bool:
        nonlocal compared
        compared += 1
        return fits(link, requirement)

    drive = Drive()
    for number in range(20):
        drive.attach(f"agent{number}")
        drive.submit(f"t{number}", template=work(target_agent_id=f"away{number}"))
    monkeypatch.setattr(AgentLink, "fits", counting)
    for _ in range(3):
        assert drive.dispatch() == {}
    assert compared == 400
    drive.attach("away7")
    assert drive.dispatch() == {"away7": ["t7"]}
    assert compared == 420


def test_an_agent_that_comes_back_with_other_capabilities_is_judged_by_those():
    drive = Drive()
    drive.attach(capabilities={"gpu": 9})
    drive.submit("first", template=work(required_capabilities=(("gpu", 5),)))
    assert drive.dispatch() == {"agent": ["first"]}
    drive.end("first")
    drive.attach(capabilities={"cpu": 9})
    drive.submit("second", template=work(required_capabilities=(("gpu", 5),)))
    assert drive.dispatch() == {}
    for _ in range(2_000):
        drive.attach(capabilities={"gpu": 7})
    assert drive.dispatch() == {"agent": ["second"]}


def test_many_agents_for_many_kinds_of_tasks_are_ranked_in_portions():
    drive = Drive()
    for number in range(300):
        drive.attach(f"agent{number}", concurrency=1)
    for number in range(100):
        drive.submit(f"t{number}", template=Template(task_type=f"type{number}"))
    first = drive.propose(Dispatch())
    assert first.more
    given = [row.task_id for offer in first.offers for row in offer.rows]
    while (reply := drive.propose(Dispatch())).more:
        given += [row.task_id for offer in reply.offers for row in offer.rows]
    given += [row.task_id for offer in reply.offers for row in offer.rows]
    assert sorted(given) == sorted(f"t{number}" for number in range(100))

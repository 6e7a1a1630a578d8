import pytest

from support.scheduler_drive import Drive
from tercio_scheduler.state.recall import RIPE_MS
from tercio_scheduler.state.rows import Outcome, State, Template
from tercio_scheduler.state.session import Standing


def prefetching(*task_ids: str, **template) -> Drive:
    """An agent with one slot that was offered all of these, and began the first."""
    drive = Drive()
    drive.attach("slow", concurrency=1)
    drive.session.set_credit("slow", credit=20)
    drive.submit(*task_ids, template=Template(task_type="work", **template))
    drive.dispatch()
    drive.run(task_ids[0], agent_id="slow")
    return drive


def test_what_waits_at_a_busy_agent_is_recalled_for_an_idle_one_the_newest_first():
    drive = prefetching(*"abcd")
    drive.attach("idle", concurrency=2)
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {"slow": ["d", "c"]}
    drive.end("d", "c", outcome=Outcome.RETURNED)
    assert drive.dispatch() == {"idle": ["c", "d"]}
    assert [drive.row(task_id).past.failures for task_id in "cd"] == [0, 0]


def test_a_recalled_attempt_stays_with_its_agent_until_it_is_returned():
    drive = prefetching("a", "b")
    drive.attach("idle")
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {"slow": ["b"]}
    assert drive.dispatch() == {}
    drive.run("b", agent_id="slow")
    assert drive.state("b") is State.RUNNING


def test_nothing_is_recalled_that_was_offered_a_moment_ago():
    drive = prefetching("a", "b")
    drive.attach("idle")
    drive.pass_time(RIPE_MS - 1)
    assert drive.recall() == {}


def test_nothing_is_recalled_that_its_agent_can_run_at_once():
    drive = Drive()
    drive.attach("busy", concurrency=2)
    drive.submit("a", "b")
    drive.dispatch()
    drive.attach("idle")
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {}


def test_an_idle_agent_that_could_not_run_it_recalls_nothing():
    drive = prefetching("a", "b", required_capabilities=())
    drive.attach("other", task_types=["other"])
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {}


def test_a_ready_task_comes_before_recalled_ones():
    drive = prefetching("a", "b")
    drive.attach("idle", concurrency=1)
    drive.submit("c")
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {}


def test_an_attempt_is_asked_for_once_and_again_after_a_new_hello():
    drive = prefetching("a", "b")
    drive.attach("idle")
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {"slow": ["b"]}
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {}
    held = {"offered": [drive.attempt("b")], "started": [drive.attempt("a")]}
    drive.attach("slow", concurrency=1, **held)
    assert drive.recall() == {"slow": ["b"]}


def test_recalls_on_their_way_fill_the_idle_slots_but_not_for_ever():
    drive = prefetching(*"abcd")
    drive.attach("idle", concurrency=1)
    drive.pass_time(RIPE_MS)
    assert drive.recall() == {"slow": ["d"]}
    assert drive.recall() == {}
    drive.pass_time(1_000)
    assert drive.recall() == {"slow": ["c"]}


@pytest.mark.parametrize("standing", [Standing(cordoned=True), Standing(draining=True)], ids=["cordoned", "draining"])
def test_a_cordoned_or_draining_agent_is_asked_for_all_that_it_has_not_begun(standing: Standing):
    drive = prefetching(*"abc")
    drive.session.set_standing("slow", standing)
    assert drive.recall() == {"slow": ["c", "b"]}
    assert drive.recall() == {}


def test_what_the_session_notes_does_not_outlive_the_attempts():
    drive = prefetching(*"abc")
    drive.session.set_standing("slow", Standing(cordoned=True))
    drive.recall()
    drive.end("b", "c", outcome=Outcome.RETURNED)
    drive.session.set_standing("slow", None)
    drive.dispatch()
    drive.session.set_standing("slow", Standing(cordoned=True))
    assert drive.recall() == {"slow": ["c", "b"]}
    assert drive.link("slow").recalled == {"b": 2, "c": 2}


def test_returning_an_attempt_that_was_begun_counts():
    drive = prefetching("a")
    drive.end("a", outcome=Outcome.RETURNED)
    assert drive.state("a") is State.BACKOFF
    assert drive.row("a").past.failures == 1

import pytest

from tercio_common.epochs import Epoch
from tercio_scheduler.state.rows import Requirement
from tercio_scheduler.state.session import SchedulerSession, Standing


@pytest.fixture
def session():
    session = SchedulerSession(Epoch(1, 1), taken_over_at=500)
    session.attach("ada", instance_id=b"1", capabilities={"python": 3}, concurrency=2, now=600, task_types=["work"])
    return session


def test_only_free_agents_are_offered_work_and_only_as_much_as_they_have_room_for(session):
    assert [(link.agent_id, room) for link, room in session.free({})] == [("ada", 2)]
    assert [(link.agent_id, room) for link, room in session.free({"ada": ["a"]})] == [("ada", 1)]
    assert session.free({"ada": ["a", "b"]}) == []
    session.set_credit("ada", credit=5)
    session.set_credit("ada", credit=0)
    assert session.free({"ada": ["a", "b"]})[0][1] == 3


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        pytest.param(Requirement((), "", "work"), True, id="nothing"),
        pytest.param(Requirement((("python", 3),), "ada", "work"), True, id="everything that it has"),
        pytest.param(Requirement((("python", 4),), "", "work"), False, id="a higher level"),
        pytest.param(Requirement((("gpu", 1),), "", "work"), False, id="another capability"),
        pytest.param(Requirement((), "bob", "work"), False, id="another agent"),
        pytest.param(Requirement((), "", "play"), False, id="another type"),
    ],
)
def test_an_agent_fits_what_it_can_run(session, requirement, fits):
    assert session.agents["ada"].fits(requirement) is fits


def test_a_lease_begins_with_the_last_word_but_not_before_the_leader_listened(session):
    assert session.renewed_at("unheard", now=900) == 500
    assert session.renewed_at("ada", now=900) == 600
    session.renew("ada", now=700)
    session.renew("ada", now=650)
    assert session.renewed_at("ada", now=900) == 700
    session.agents["ada"].unread = True
    assert session.renewed_at("ada", now=900) == 900


def test_a_standing_is_remembered_for_agents_that_come_later(session):
    session.set_standing("bob", Standing(cordoned=True))
    link = session.attach("bob", instance_id=b"1", capabilities={}, concurrency=1, now=700)
    assert not link.takes_work
    session.set_standing("bob", None)
    assert link.takes_work


def test_a_former_process_cannot_close_its_successors_stream(session):
    session.detach("ada", instance_id=b"0")
    assert session.agents["ada"].connected
    session.detach("ada", instance_id=b"1")
    assert list(session.connected()) == []
    session.forget("ada")
    assert session.agents == {}


def test_progress_is_kept_until_it_is_dropped(session):
    session.set_progress("a", percent=40)
    assert session.progress == {"a": 40}
    session.drop_progress("a")
    session.drop_progress("a")
    assert session.progress == {}


def test_the_registrys_words_on_agents_that_are_gone_do_not_pile_up(session):
    session.set_standing("ada", Standing(gone=True))
    session.set_standing("bob", Standing(cordoned=True))
    for number in range(25_000):
        session.set_standing(f"late{number}", Standing(gone=True))
        session.set_standing(f"fine{number}", Standing())
    assert len(session.standings) <= 10_000
    assert session.standings["ada"].gone
    assert session.standings["bob"].cordoned

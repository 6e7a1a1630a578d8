import pytest

from support.scheduler_drive import Drive
from tercio_common.errors import Refusal
from tercio_scheduler.state.explain import Explanation, explain
from tercio_scheduler.state.rows import Outcome, Template
from tercio_scheduler.state.session import Standing


def of(drive: Drive, task_id: str) -> Explanation:
    return explain(drive.machine.tables, drive.session, task_id, drive.moment())


def test_a_ready_task_names_what_stands_before_each_agent_and_the_fittest_first():
    drive = Drive()
    drive.attach("cordoned", capabilities={"gpu": 2})
    drive.session.set_standing("cordoned", Standing(cordoned=True))
    drive.attach("weak", capabilities={"gpu": 1})
    drive.attach("typed", capabilities={"gpu": 2}, task_types=["other"])
    drive.submit("a", template=Template(task_type="work", required_capabilities=(("gpu", 2),)))
    explanation = of(drive, "a")
    assert {candidate.agent_id: candidate.obstacles for candidate in explanation.candidates} == {
        "cordoned": ("CORDONED",),
        "typed": ("UNSUPPORTED_TASK_TYPE",),
        "weak": ("MISSING_CAPABILITY",),
    }
    assert explanation.candidates[-1].missing == {"gpu": 2}
    assert explanation.missing == {}
    assert "Uncordon an agent that could run it." in explanation.remedies


def test_what_no_agent_has_is_named_with_a_remedy():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", required_capabilities=(("gpu", 2),)))
    explanation = of(drive, "a")
    assert explanation.missing == {"gpu": 2}
    assert explanation.remedies == ("Connect an agent with gpu 2.",)
    assert "no connected agent has gpu 2" in explanation.summary


def test_a_task_behind_busy_agents_knows_how_many_come_before_it():
    drive = Drive()
    drive.attach(concurrency=1)
    drive.submit("a", "b", "c")
    drive.submit("urgent", template=Template(task_type="work", priority=9))
    drive.submit("last", template=Template(task_type="work", priority=1))
    drive.dispatch()
    assert of(drive, "last").tasks_ahead == 3
    assert of(drive, "a").tasks_ahead == 0
    assert of(drive, "last").candidates[0].obstacles == ("NO_FREE_SLOT",)
    assert "busy" in of(drive, "last").summary


def test_a_target_that_is_not_connected_is_named():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", target_agent_id="ada"))
    assert of(drive, "a").candidates[0].obstacles == ("NOT_THE_TARGET",)
    assert of(drive, "a").remedies[0].startswith("Connect agent ada")


def test_every_state_has_a_summary():
    drive = Drive()
    drive.submit("a", "b", after={"b": ["a"]})
    assert of(drive, "b").waiting_for == ("a",)
    assert of(drive, "a").summary == "It is ready, but no agent is connected."
    drive.attach()
    assert of(drive, "a").candidates[0].eligible
    drive.dispatch()
    assert "offered" in of(drive, "a").summary
    drive.run("a")
    assert "runs on agent agent" in of(drive, "a").summary
    drive.end("a", outcome=Outcome.FAILED)
    assert "tried again" in of(drive, "a").summary
    with pytest.raises(Refusal, match="TASK_NOT_FOUND"):
        of(drive, "nobody")

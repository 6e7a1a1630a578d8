"""Configurations of one agent: tried, observed, made active or given up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from support.configuring import OBSERVE, ConfigDriver
from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import GRACE_MS, Result, SystemTaskOutcome
from tercio_registry.state.commands import DeregisterAgent, ReportSystemTasks
from tercio_registry.state.config_commands import Change, UpdateConfig
from tercio_registry.state.revisions import MOST_REVISIONS
from tercio_registry.state.vitals import Vitals


@pytest.fixture
def driver() -> ConfigDriver:
    made = ConfigDriver()
    made.join("a", agent_type="web")
    made.beat()
    return made


def test_a_configuration_is_tried_observed_and_then_active(driver: ConfigDriver) -> None:
    assert driver.update({"port": 1}).state.name == "PENDING"
    assert driver.states() == ["APPLYING"]
    assert driver.answer() == '{"port":1}'
    driver.listen_well(OBSERVE - 1_000)
    assert driver.states() == ["APPLYING"]
    driver.listen_well(2_000)
    assert driver.states() == ["ACTIVE"]
    row = driver.revision(1)
    assert (row.apply_took, row.observed >= OBSERVE, row.author, row.checked) == (0, True, "tester", False)


def test_the_next_one_supersedes_it(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.settle({"port": 2})
    assert driver.states() == ["SUPERSEDED", "ACTIVE"]
    assert driver.revision(2).backup == 1


def test_a_merge_patch_changes_what_is_active(driver: ConfigDriver) -> None:
    driver.settle({"port": 1, "deep": {"a": 1, "b": 2}})
    driver.update({"deep": {"a": None, "c": 3}}, is_patch=True)
    assert driver.answer() == '{"deep":{"b":2,"c":3},"port":1}'


def test_one_that_does_not_conform_is_refused_with_every_path(driver: ConfigDriver) -> None:
    driver.schema("web")
    with pytest.raises(Refusal, match="INVALID_CONFIGURATION") as caught:
        driver.update({"port": 0})
    assert [violation.field for violation in caught.value.violations] == ["$.port"]
    assert driver.states() == []
    driver.update({"port": 1})
    assert driver.revision(1).checked


@pytest.mark.parametrize("text", ["[]", "{", '{"a":NaN}', '{"a":"\\ud800"}', '{"a":' * 40 + "1" + "}" * 40])
def test_what_is_no_json_object_is_refused(driver: ConfigDriver, text: str) -> None:
    with pytest.raises(Refusal, match="INVALID_CONFIGURATION"):
        driver.do(UpdateConfig(agent_id="a", change=Change(text)))


def test_a_dry_run_changes_nothing(driver: ConfigDriver) -> None:
    assert driver.update({"port": 1}, dry=True).document == '{"port":1}'
    assert driver.states() == []


def test_an_agent_that_has_left_is_not_configured(driver: ConfigDriver) -> None:
    driver.do(DeregisterAgent(agent_id="a"))
    with pytest.raises(Refusal, match="AGENT_NOT_ACTIVE"):
        driver.update({})
    with pytest.raises(Refusal, match="AGENT_NOT_FOUND"):
        driver.update({}, "b")


def test_while_one_is_tried_no_other_is(driver: ConfigDriver) -> None:
    driver.update({"port": 1})
    with pytest.raises(Refusal, match="CONFIGURATION_CONFLICT"):
        driver.update({"port": 2})


def test_an_expected_revision_must_be_the_active_one(driver: ConfigDriver) -> None:
    driver.update({"port": 1}, expected=0, observe=0)
    driver.answer()
    with pytest.raises(Refusal, match="CONFIGURATION_CONFLICT"):
        driver.update({"port": 2}, expected=0)
    driver.update({"port": 2}, expected=1)


def test_one_that_the_agent_refuses_is_given_up_and_the_backup_is_sent_again(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.update({"port": 2})
    driver.answer(result=Result.FAILED, why="port is taken")
    assert driver.states() == ["SUPERSEDED", "FAILED", "ACTIVE"]
    assert (driver.revision(2).reason, driver.revision(2).message) == (
        "CONFIGURATION_APPLY_FAILED",
        "BAD: port is taken",
    )
    assert driver.revision(3).restored == 1
    assert driver.answer() == '{"port":1}'
    assert driver.open_task() is None


@pytest.mark.parametrize("result", [Result.EXPIRED, Result.AGENT_GONE])
def test_one_that_nobody_knows_to_be_applied_is_given_up(driver: ConfigDriver, result: Result) -> None:
    driver.settle({"port": 1})
    driver.update({"port": 2})
    driver.answer(result=result)
    assert driver.active() == {"port": 1}


def test_one_that_nobody_reports_is_given_up(driver: ConfigDriver) -> None:
    driver.update({"port": 2}, timeout=1_000)
    driver.listen_well(1_000 + GRACE_MS + 1_000)
    assert driver.revision(1).reason == "CONFIGURATION_APPLY_FAILED"


def test_an_agent_that_runs_something_else_gets_its_backup_back(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.update({"port": 2})
    driver.answer(runs='{"port":3}')
    assert driver.revision(2).reason == "POST_UPDATE_VALIDATION_FAILED"
    assert driver.answer() == '{"port":1}'


def test_one_that_the_schema_no_longer_allows_is_given_up(driver: ConfigDriver) -> None:
    driver.update({"host": "h"})
    driver.schema("web")
    driver.answer()
    assert driver.revision(1).reason == "POST_UPDATE_VALIDATION_FAILED"


def test_an_agent_without_a_backup_is_told_the_empty_object(driver: ConfigDriver) -> None:
    driver.update({"port": 2})
    driver.answer(result=Result.FAILED, why="no")
    assert driver.answer() == "{}"
    assert driver.active() == {}


def test_an_agent_that_gets_worse_while_it_is_observed_gets_its_backup_back(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.update({"port": 2})
    driver.answer()
    driver.listen(driver.rules.degraded_after + 1_000)  # it beats no more
    assert driver.revision(2).state.name == "ROLLED_BACK"
    assert driver.revision(2).reason == "CONFIG_REGRESSION"
    assert driver.active() == {"port": 1}


def test_an_agent_that_was_unwell_before_is_judged_from_there(driver: ConfigDriver) -> None:
    driver.listen(driver.rules.degraded_after + 200)
    assert driver.row().health.name == "DEGRADED"
    driver.update({"port": 2}, observe=500)
    driver.answer()
    driver.listen(750)
    assert driver.states() == ["ACTIVE"]


def test_an_agent_that_ailed_from_something_before_is_worse_when_it_ails_from_something_else_as_well(
    driver: ConfigDriver,
) -> None:
    driver.settle({"port": 1})
    report(driver, Vitals(queue_length=8, queue_limit=8))
    driver.update({"port": 2})
    driver.answer()
    report(driver, Vitals(queue_length=8, queue_limit=8))
    assert driver.states()[-1] == "APPLYING"
    report(driver, Vitals(failed=5))
    assert driver.states() == ["SUPERSEDED", "ROLLED_BACK", "ACTIVE"]
    assert driver.revision(2).message.endswith("too many of its attempts fail; its queue is full")


def report(driver: ConfigDriver, vitals: Vitals) -> None:
    """Let the agent say that often enough to be believed."""
    for _ in range(driver.rules.failure_threshold):
        driver.beat(vitals=vitals)
    driver.tick()


def test_an_agent_that_is_restarted_while_it_is_observed_gets_its_backup_back(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.update({"port": 2})
    driver.answer()
    driver.join(instance=b"2" * 16, agent_type="web")
    assert driver.revision(2).reason == "CONFIG_REGRESSION"
    assert driver.answer() == '{"port":1}'


def test_a_new_process_is_sent_what_is_active_until_it_has_it(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.join(instance=b"2" * 16, agent_type="web")
    assert driver.answer(result=Result.AGENT_GONE) == '{"port":1}'
    assert driver.open_task() is None
    driver.listen_well(1_500)
    assert driver.answer() == '{"port":1}'
    driver.listen_well(5_000)
    assert driver.open_task() is None
    assert driver.states() == ["ACTIVE"]


def test_a_process_that_took_the_place_of_the_one_that_was_sent_to_is_not_believed(driver: ConfigDriver) -> None:
    driver.update({"port": 2})
    driver.join(instance=b"2" * 16, agent_type="web")
    driver.answer()
    assert driver.revision(1).reason == "CONFIGURATION_APPLY_FAILED"
    assert driver.answer() == "{}"


def test_an_agent_that_leaves_before_it_is_sent_anything_has_not_taken_it(driver: ConfigDriver) -> None:
    driver.do(UpdateConfig(agent_id="a", change=Change("{}")))
    driver.do(DeregisterAgent(agent_id="a"))
    driver.tick()
    assert driver.states() == ["FAILED", "ACTIVE"]
    assert driver.open_task() is None


def test_any_revision_that_is_kept_can_be_brought_back(driver: ConfigDriver) -> None:
    for port in (1, 2, 3):
        driver.settle({"port": port})
    assert driver.rollback(1).restored == 1
    driver.answer()
    driver.listen_well(OBSERVE + 1_000)
    assert driver.active() == {"port": 1}
    driver.rollback()
    assert driver.answer() == '{"port":3}'
    driver.listen_well(OBSERVE + 1_000)
    with pytest.raises(Refusal, match="CONFIGURATION_NOT_FOUND"):
        driver.rollback(99)


def test_twenty_revisions_are_kept_with_the_active_one_and_its_backup(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.settle({"port": 2})
    for port in range(50):
        driver.update({"port": port})
        driver.answer(result=Result.FAILED, why="no")
        driver.answer()
    assert len(driver.states()) == MOST_REVISIONS
    assert driver.active() == {"port": 2}


def test_documents_over_the_limit_of_the_registry_are_refused(driver: ConfigDriver) -> None:
    driver.machine.rules = replace(driver.rules, max_live_bytes=driver.machine.live_bytes + 100)
    with pytest.raises(Refusal, match="QUEUE_FULL"):
        driver.update({"text": "x" * 200})


def test_schemas_of_ever_more_types_are_refused_in_the_end(driver: ConfigDriver) -> None:
    driver.machine.rules = replace(driver.rules, max_live_bytes=driver.machine.live_bytes + 1_000)
    driver.schema("one", json.dumps({"description": "x" * 500}))
    with pytest.raises(Refusal, match="QUEUE_FULL"):
        driver.schema("other", json.dumps({"description": "x" * 500}))
    driver.schema("one", "")
    driver.schema("other", json.dumps({"description": "x" * 500}))


def test_an_outcome_that_is_told_twice_counts_once(driver: ConfigDriver) -> None:
    revision = driver.update({"port": 1}).revision
    task = driver.open_task()
    assert task is not None
    refused = SystemTaskOutcome(task.system_task_id, Result.FAILED, b"", "BAD", "no")
    assert driver.do(ReportSystemTasks((refused, refused))) == ()
    assert driver.do(ReportSystemTasks((refused, refused))) == (task.system_task_id,)
    assert driver.state_of("a", revision) == "FAILED"


def test_an_agent_that_is_forgotten_takes_its_revisions_with_it(driver: ConfigDriver) -> None:
    driver.settle({"port": 1})
    driver.do(DeregisterAgent(agent_id="a"))
    driver.listen(driver.rules.retention + 1_000)
    assert driver.states() == []


def test_a_schema_that_is_none_is_refused_and_an_empty_one_is_removed(driver: ConfigDriver) -> None:
    for text in ("[]", '{"type":"nothing"}', '{"$ref":"http://elsewhere/"}', '{"pattern":"(?=a)"}'):
        with pytest.raises(Refusal, match="INVALID_ARGUMENT"):
            driver.schema("web", text)
    driver.schema("web")
    driver.schema("web", "")
    driver.update({"anything": True})

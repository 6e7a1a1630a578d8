"""What is asked of one incarnation of an agent reaches no other one, and says nothing about it."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver
from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome, SystemTaskWanted
from tercio_registry.state.asking import attributed
from tercio_registry.state.commands import OpenSystemTasks, ReportSystemTasks

FIRST, SECOND = b"1" * 16, b"2" * 16


def ask(driver: Driver, *, incarnation: int) -> str:
    wanted = SystemTaskWanted("tercio.canary", driver.row().agent_id, timeout=1_000, incarnation=incarnation)
    (system_task_id,) = driver.do(OpenSystemTasks((wanted,)))
    return str(system_task_id)


def heard(driver: Driver, system_task_id: str) -> Result:
    """Return what the registry makes of a success."""
    told = (SystemTaskOutcome(system_task_id, Result.SUCCEEDED),)
    (outcome,) = attributed(driver.machine.agents, driver.machine.system_tasks, told)
    driver.do(ReportSystemTasks(told))
    assert not len(driver.machine.system_tasks.table)
    return outcome.result


def test_what_is_asked_of_an_incarnation_names_its_process() -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    driver.register(instance=SECOND)
    row = driver.machine.system_tasks.table[ask(driver, incarnation=2)]
    assert (row.incarnation, row.instance_id) == (2, SECOND)


def test_what_is_asked_of_whichever_incarnation_is_present_names_no_process() -> None:
    driver = Driver()
    driver.register()
    assert driver.machine.system_tasks.table[ask(driver, incarnation=0)].instance_id == b""


def test_an_incarnation_that_is_not_present_cannot_be_asked() -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    driver.register(instance=SECOND)
    with pytest.raises(Refusal, match="AGENT_REPLACED"):
        ask(driver, incarnation=1)


@pytest.mark.parametrize(
    ("incarnation", "result"),
    [pytest.param(0, Result.SUCCEEDED, id="asked of any"), pytest.param(1, Result.AGENT_GONE, id="asked of the first")],
)
def test_an_outcome_of_a_replaced_incarnation_says_nothing_about_the_present_one(
    incarnation: int, result: Result
) -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    system_task_id = ask(driver, incarnation=incarnation)
    driver.register(instance=SECOND)
    assert heard(driver, system_task_id) is result


def test_an_outcome_of_the_present_incarnation_counts() -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    assert heard(driver, ask(driver, incarnation=1)) is Result.SUCCEEDED

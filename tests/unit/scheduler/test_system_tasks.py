"""System tasks come before all else, whatever an agent does, and each has exactly one outcome."""

from __future__ import annotations

import pytest

from support.scheduler_drive import Drive, contents
from tercio.api.type.v1 import system_task_pb2
from tercio_common.errors import Refusal
from tercio_common.machine.outbox import AcknowledgeOutbox
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome
from tercio_scheduler.effects.run_system_tasks import command_of
from tercio_scheduler.state.columns import Failure
from tercio_scheduler.state.commands import CancelTask, RetryTask
from tercio_scheduler.state.queue_stats import queue_stats
from tercio_scheduler.state.rows import Outcome
from tercio_scheduler.state.session import Standing
from tercio_scheduler.state.system_tasks import outcome_of, payload_of

TIMEOUT_MS = 5_000
TASK = "tercio.registry-1"


def carry(drive: Drive, name: str = "registry-1", *, agent_id: str = "agent", instance: bytes = b"") -> str:
    message = system_task_pb2.SystemTask(
        system_task_id=name,
        kind="tercio.canary",
        target_agent_id=agent_id,
        target_instance_id=instance,
        input=b"nonce",
    )
    message.timeout.FromMilliseconds(TIMEOUT_MS)
    drive.propose(command_of(message, owner="registry"))
    return f"tercio.{name}"


def outcomes(drive: Drive) -> list[SystemTaskOutcome]:
    return [outcome_of(row.payload) for row in drive.machine.outbox.table.values()]


def settled(drive: Drive) -> SystemTaskOutcome:
    """Return the one outcome that is owed, once nothing of the system task is left."""
    drive.settle()
    assert contents(drive.replayed()) == contents(drive.from_snapshot()) == contents(drive.machine)
    tables = drive.machine.tables
    assert not len(tables.carried)
    assert TASK not in tables.tasks
    index = tables.index
    assert index.system == index.system_ready == index.system_ended == {}
    (only,) = outcomes(drive)
    return only


def test_it_is_offered_to_an_agent_without_credit_and_before_other_work():
    drive = Drive()
    drive.attach(concurrency=1)
    drive.submit("a", "b")
    assert drive.dispatch() == {"agent": ["a"]}
    carry(drive)
    assert drive.dispatch() == {"agent": [TASK]}
    assert drive.dispatch() == {}


def test_it_is_none_of_the_load_by_which_a_fleet_is_scaled():
    drive = Drive()
    drive.attach(concurrency=1)
    drive.submit("a")
    drive.dispatch()
    carry(drive)
    drive.dispatch()
    assert set(drive.machine.tables.index.by_agent["agent"]) == {"a", TASK}
    (load,) = queue_stats(drive.machine.tables, drive.session, drive.now).agents
    assert load.held == 1


def test_it_reaches_an_agent_that_takes_no_work():
    drive = Drive()
    drive.attach()
    drive.session.set_standing("agent", Standing(cordoned=True, unhealthy=True))
    carry(drive)
    assert drive.dispatch() == {"agent": [TASK]}


def test_it_is_not_recalled_from_an_agent_that_takes_no_work():
    drive = Drive()
    drive.attach()
    drive.session.set_standing("agent", Standing(cordoned=True))
    carry(drive)
    drive.dispatch()
    assert drive.recall() == {}


def test_an_agent_holds_only_a_few():
    drive = Drive()
    drive.attach()
    for number in range(6):
        carry(drive, f"registry-{number}")
    assert len(drive.dispatch()["agent"]) == 4
    assert drive.dispatch() == {}
    drive.end("tercio.registry-0")
    assert drive.dispatch() == {"agent": ["tercio.registry-4"]}


def test_it_waits_for_its_own_record():
    drive = Drive()
    drive.attach()
    drive.committed = drive.seq
    carry(drive)
    assert drive.dispatch() == {}


def test_an_answer_is_owed_to_the_owner_and_forgotten_when_it_has_it():
    drive = Drive()
    drive.attach()
    carry(drive)
    drive.dispatch()
    drive.pass_time(20)
    drive.end(TASK)
    outcome = settled(drive)
    assert (outcome.system_task_id, outcome.result, outcome.wait, outcome.run) == (
        "registry-1", Result.SUCCEEDED, 0, 20,
    )  # fmt: skip
    drive.propose(AcknowledgeOutbox(("registry-1", "registry-1")))
    assert not outcomes(drive)


@pytest.mark.parametrize("command", [CancelTask(task_id=TASK), RetryTask(task_id=TASK)], ids=["cancel", "retry"])
def test_nobody_but_its_owner_decides_about_it(command: CancelTask | RetryTask):
    drive = Drive()
    drive.attach()
    carry(drive)
    drive.dispatch()
    if isinstance(command, RetryTask):
        drive.end(TASK, outcome=Outcome.FAILED)
    with pytest.raises(Refusal, match="PERMISSION_DENIED"):
        drive.propose(command)


def test_a_failure_is_not_tried_again():
    drive = Drive()
    drive.attach()
    carry(drive)
    drive.dispatch()
    drive.end(TASK, outcome=Outcome.FAILED, failure=Failure("OUT_OF_DISK", "no room"))
    outcome = settled(drive)
    assert (outcome.result, outcome.error_reason, outcome.error_message) == (Result.FAILED, "OUT_OF_DISK", "no room")


def test_a_deaf_agent_is_told_from_one_that_is_not_there():
    drive = Drive()
    drive.attach()
    carry(drive)
    drive.dispatch()
    drive.pass_time(TIMEOUT_MS)
    assert settled(drive).result is Result.EXPIRED
    absent = Drive()
    carry(absent)
    absent.pass_time(TIMEOUT_MS)
    assert settled(absent).result is Result.AGENT_GONE


def test_an_agent_that_was_started_anew_is_gone():
    drive = Drive()
    drive.attach()
    carry(drive)
    drive.dispatch()
    drive.attach(instance=b"second")
    assert settled(drive).result is Result.AGENT_GONE


def test_no_other_process_of_the_agent_is_given_what_was_meant_for_one():
    drive = Drive()
    drive.attach(instance=b"second")
    carry(drive, instance=b"first")
    carry(drive, "registry-2", instance=b"second")
    assert drive.dispatch() == {"agent": ["tercio.registry-2"]}
    drive.attach(instance=b"first")
    assert drive.dispatch() == {"agent": [TASK]}


def test_what_was_meant_for_a_process_that_is_no_more_ends_as_gone():
    drive = Drive()
    drive.attach(instance=b"second")
    carry(drive, instance=b"first")
    assert drive.dispatch() == {}
    drive.pass_time(TIMEOUT_MS)
    assert settled(drive).result is Result.AGENT_GONE


def test_what_is_shown_again_has_no_second_effect():
    drive = Drive()
    drive.attach()
    carry(drive)
    before = drive.seq
    carry(drive)
    assert drive.seq == before
    drive.dispatch()
    drive.end(TASK)
    drive.settle()
    carry(drive)
    assert not len(drive.machine.tables.carried), "its outcome is still owed"


def test_those_that_are_forgotten_do_not_raise_the_attempts_of_tasks():
    drive = Drive()
    drive.attach(concurrency=1)
    for number in range(3):
        carry(drive, f"registry-{number}")
        drive.dispatch()
        drive.end(f"tercio.registry-{number}")
        drive.settle()
    drive.submit("a")
    drive.dispatch()
    assert drive.machine.tables.tasks["a"].number == 1


def test_the_next_leader_settles_what_ended():
    drive = Drive()
    drive.attach()
    carry(drive)
    drive.dispatch()
    drive.end(TASK)
    drive.take_over()
    assert settled(drive).result is Result.SUCCEEDED


@pytest.mark.parametrize("result", list(Result))
def test_an_outcome_survives_in_the_outbox(result):
    outcome = SystemTaskOutcome("a", result, b"\0\xff", "WHY", "because", wait=1, run=2)
    assert outcome_of(payload_of(outcome)) == outcome

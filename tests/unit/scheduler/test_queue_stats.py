"""What waits, what is held, and what came and went, by requirement."""

from __future__ import annotations

import pytest

from support.scheduler_drive import WORK, Drive
from tercio_scheduler.state import queue_counts
from tercio_scheduler.state.queue_counts import QueueCount, QueueCounts
from tercio_scheduler.state.queue_stats import Queue, QueueStats, queue_stats
from tercio_scheduler.state.rows import Template

SLOW = Template(task_type="slow", required_capabilities=(("gpu", 3),))
NEEDY = Template(task_type="slow", required_capabilities=(("gpu", 3),), resources=(("cpu", 100),))


def look(drive: Drive) -> QueueStats:
    return queue_stats(drive.machine.tables, drive.session, drive.now)


def count(drive: Drive, counts: QueueCounts, *task_ids: str) -> None:
    counts.count([drive.machine.tables.tasks[task_id] for task_id in task_ids], seq=drive.seq)


def test_tasks_that_ask_the_same_of_their_agent_are_one_queue() -> None:
    drive = Drive()
    drive.attach(concurrency=1, capabilities={"gpu": 5})
    drive.submit("a", "b", template=SLOW)
    drive.dispatch()
    drive.pass_time(500)
    drive.submit("c", template=NEEDY)
    (queue,) = look(drive).queues
    assert queue == Queue(SLOW.requirement, waiting=2, admitting=1, oldest_wait=500, held=1)


def test_queues_with_the_most_waiting_come_first_and_the_fleets_own_tasks_are_left_out() -> None:
    drive = Drive()
    drive.submit("a", template=SLOW)
    drive.submit("b", "c")
    drive.submit("d", template=Template(task_type="tercio.canary", target_agent_id="x"))
    assert [(queue.requirement, queue.waiting) for queue in look(drive).queues] == [
        (WORK.requirement, 2),
        (SLOW.requirement, 1),
    ]


def test_agents_are_shown_with_what_they_hold() -> None:
    drive = Drive()
    drive.attach("busy", concurrency=2)
    drive.submit("a")
    drive.dispatch()
    drive.attach("absent", concurrency=2)
    drive.session.detach("absent", instance_id=drive.session.agents["absent"].instance_id)
    (load,) = look(drive).agents
    assert (load.agent.agent_id, load.held) == ("busy", 1)


def test_each_acceptance_and_each_success_is_counted_once() -> None:
    drive, counts = Drive(), QueueCounts()
    drive.attach(capabilities={"gpu": 3})
    drive.submit("a", "b", template=SLOW)
    count(drive, counts, "a", "b")
    drive.dispatch()
    drive.pass_time(700)
    drive.end("a")
    count(drive, counts, "a")
    drive.submit("c", template=SLOW)
    count(drive, counts, "a", "c")
    assert counts.by_requirement == {SLOW.requirement: QueueCount(accepted=3, succeeded=1, responded=700)}


def test_requirements_that_were_counted_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_counts, "_MOST", 2)
    drive, counts = Drive(), QueueCounts()
    for name in ("x", "y", "x", "z"):
        task_id = f"{name}{drive.seq}"
        drive.submit(task_id, template=Template(task_type=name))
        count(drive, counts, task_id)
    assert [each.task_type for each in counts.by_requirement] == ["x", "z"]
    assert counts.by_requirement[Template(task_type="x").requirement].accepted == 2

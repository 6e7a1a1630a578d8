"""System tasks are open from their asking until a report or their end, and ids are never used twice."""

from __future__ import annotations

import pytest

from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.machine import system_tasks
from tercio_common.machine.protocol import Moment
from tercio_common.machine.system_tasks import (
    GRACE_MS,
    Result,
    SystemTaskOutcome,
    SystemTasks,
    SystemTaskWanted,
)
from tercio_common.machine.table import TableStore

CANARY = SystemTaskWanted("tercio.canary", "a", timeout=1_000, input=b"nonce", incarnation=3)


def at(now: int, *, seq: int = 1, revision: int = 7) -> Moment:
    return Moment(seq, now, 1_000_000 + now, Epoch(1, revision), "tester")


def opened(*wanted: SystemTaskWanted, now: int = 0, seq: int = 1) -> tuple[SystemTasks, list[str]]:
    tasks = SystemTasks(TableStore(), owner="registry")
    event = tasks.open(wanted, at(now, seq=seq))
    tasks.apply(event)
    return tasks, [row.system_task_id for row in event.tasks]


def test_what_is_asked_for_is_open_with_its_deadline() -> None:
    tasks, (first,) = opened(CANARY, now=50)
    row = tasks.table[first]
    assert (row.kind, row.agent_id, row.incarnation, row.input) == ("tercio.canary", "a", 3, b"nonce")
    assert tasks.next_due() == row.due == 50 + 1_000 + GRACE_MS


def test_no_leader_repeats_an_id_of_another() -> None:
    tasks = SystemTasks(TableStore(), owner="registry")
    moments = [at(0), at(0, seq=2), at(0, revision=8)]
    ids = [row.system_task_id for moment in moments for row in tasks.open([CANARY, CANARY], moment).tasks]
    assert len(set(ids)) == 6
    assert ids[0] == "registry-1-7-1-0"


def test_a_report_closes_once_and_a_repeated_one_is_told_so() -> None:
    tasks, (first, second) = opened(CANARY, CANARY)
    report = [SystemTaskOutcome(first, Result.SUCCEEDED), SystemTaskOutcome("other", Result.FAILED)]
    event, unknown = tasks.close(report)
    assert ([each.system_task_id for each in event.outcomes], unknown) == ([first], ("other",))
    tasks.apply(event)
    assert tasks.close(report)[1] == (first, "other")
    assert [row.system_task_id for row in tasks.table.values()] == [second]


def test_what_nobody_reports_ends_by_itself_in_steps() -> None:
    tasks, ids = opened(CANARY, CANARY, CANARY._replace(timeout=2_000))
    end = 1_000 + GRACE_MS
    assert not tasks.expire(at(end - 1), limit=10).outcomes
    event = tasks.expire(at(end), limit=1)
    assert [each.result for each in event.outcomes] == [Result.UNREPORTED]
    assert tasks.expire(at(end), limit=1) == event, "an undone expiry is found again"
    tasks.apply(event)
    tasks.apply(tasks.expire(at(end), limit=10))
    assert [row.system_task_id for row in tasks.table.values()] == [ids[2]]
    assert tasks.next_due() == 2_000 + GRACE_MS


def test_a_task_whose_report_was_undone_ends_once() -> None:
    store = TableStore()
    tasks = SystemTasks(store, owner="registry")
    tasks.apply(tasks.open([CANARY], at(0)))
    store.begin()
    (only,) = tasks.table.values()
    tasks.apply(tasks.close([SystemTaskOutcome(only.system_task_id, Result.SUCCEEDED)])[0])
    store.rollback()
    event = tasks.expire(at(only.due), limit=10)
    assert [each.system_task_id for each in event.outcomes] == [only.system_task_id]


def test_a_timer_that_fails_is_set_aside_alone() -> None:
    tasks, (first, second) = opened(CANARY, CANARY._replace(timeout=2_000))
    assert tasks.set_aside_due() == f"the end of system task {first}"
    (left,) = tasks.expire(at(100_000), limit=10).outcomes
    assert left.system_task_id == second


def test_an_owner_that_nobody_serves_stops_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_tasks, "MOST_OPEN", 2)
    tasks, _ = opened(CANARY, CANARY)
    with pytest.raises(Refusal, match="QUEUE_FULL"):
        tasks.open([CANARY], at(0, seq=2))

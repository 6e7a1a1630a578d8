"""Who was refused for long enough is passed by nobody who needs the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.scheduler_drive import Drive
from tercio_scheduler.state.commands import SettleAdmissions, StartAdmissions
from tercio_scheduler.state.rows import Template
from tercio_scheduler.state.shortages import Gap, Shortage

LARGE = Template(task_type="work", resources=(("cpu", 900), ("memory", 5)), pool_labels=(("zone", "a"),))
SMALL = Template(task_type="work", resources=(("cpu", 100),))
GAP = Gap("cpu", 900, 200, "pool", most=1_000)


@pytest.fixture
def drive() -> Drive:
    """The large task was refused for the first time."""
    drive = Drive()
    drive.attach(concurrency=9)
    drive.submit("large", template=LARGE)
    return drive


def start(drive: Drive) -> list[str]:
    return [key.task_id for key in drive.propose(StartAdmissions()).keys]


def refuse(drive: Drive, gap: Gap = GAP) -> None:
    keys = drive.propose(StartAdmissions()).keys
    assert [key.task_id for key in keys] == ["large"]
    drive.session.shortages.note(LARGE.needs, Shortage("INSUFFICIENT_RESOURCES", (gap,), drive.now, 7))
    drive.propose(SettleAdmissions(refused=keys))


def wait(drive: Drive, duration_ms: int) -> None:
    drive.pass_time(duration_ms)
    drive.session.renew("agent", now=drive.now)


def test_smaller_needs_pass_a_large_one_until_its_patience_ends(drive: Drive) -> None:
    refuse(drive)
    drive.submit("small", template=SMALL)
    wait(drive, 9_999)
    assert start(drive) == ["small"]
    drive.submit("later", template=SMALL)
    wait(drive, 1)
    assert start(drive) == ["large"]
    assert start(drive) == []


def test_patience_ends_once_for_each_task_that_is_granted(drive: Drive) -> None:
    refuse(drive)
    wait(drive, 10_000)
    drive.session.shortages.granted(LARGE.needs)
    drive.submit("small", template=SMALL)
    assert start(drive) == ["large", "small"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(SMALL, resources=(("network", 1),)), id="another dimension"),
        pytest.param(replace(SMALL, pool_labels=(("zone", "b"),)), id="other pools"),
        pytest.param(replace(SMALL, priority=6), id="a turn that comes first"),
    ],
)
def test_who_takes_nothing_away_or_comes_first_is_not_stopped(drive: Drive, other: Template) -> None:
    refuse(drive)
    wait(drive, 10_000)
    drive.submit("other", template=other)
    drive.submit("small", template=SMALL)
    assert sorted(start(drive)) == ["large", "other"]


def test_a_task_that_came_before_is_not_stopped() -> None:
    drive = Drive()
    drive.attach(concurrency=1)
    drive.submit("small", "small-2", template=SMALL)
    drive.submit("large", template=LARGE)
    drive.session.shortages.note(LARGE.needs, Shortage("INSUFFICIENT_RESOURCES", (GAP,), drive.now, 7))
    wait(drive, 10_000)
    drive.submit("small-3", template=SMALL)
    drive.session.set_credit("agent", credit=9)
    assert start(drive) == ["small", "small-2", "large"]


@pytest.mark.parametrize(
    "gap",
    [
        pytest.param(GAP._replace(most=899), id="larger than the pools"),
        pytest.param(GAP._replace(most=0), id="asked of a service that does not tell"),
    ],
)
def test_who_needs_more_than_there_could_ever_be_stops_nobody(drive: Drive, gap: Gap) -> None:
    refuse(drive, gap)
    wait(drive, 10_000)
    drive.submit("small", template=SMALL)
    assert start(drive) == ["large", "small"]


def test_who_waits_for_a_cost_limit_holds_up_nobody(drive: Drive) -> None:
    keys = drive.propose(StartAdmissions()).keys
    spent = Gap("cost", 50, 50, "tenant", most=50)
    drive.session.shortages.note(LARGE.needs, Shortage("COST_LIMIT_REACHED", (spent,), drive.now, 7))
    drive.propose(SettleAdmissions(refused=keys))
    wait(drive, 9_999)
    drive.submit("small", template=SMALL)
    wait(drive, 2)
    assert "small" in start(drive)

"""An agent ends attempts that hold resources unless it hears in time that they are renewed."""

from __future__ import annotations

import asyncio

import pytest

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt, Epoch, Stage, Stop
from tercio.resource_leases import ResourceLeases
from tercio_common.testing.eventually import eventually

_LEASE = work_pb2.WorkResponse(resource_lease_ms=100)
_HOUR = work_pb2.WorkResponse(resource_lease_ms=3_600_000)


class Runners:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.returned: list[str] = []
        self.stopped: list[tuple[str, Stop]] = []

    def give_back(self, attempt: Attempt) -> None:
        if attempt.stage is Stage.QUEUED:
            self.returned.append(attempt.task_id)
            attempt.stage = Stage.ENDED

    def stop(self, attempt: Attempt, why: Stop) -> None:
        if attempt.stage is Stage.RUNNING:
            self.stopped.append((attempt.task_id, why))
            attempt.stage = Stage.ENDED


@pytest.fixture
def runners() -> Runners:
    return Runners()


@pytest.fixture
def leases(runners: Runners) -> ResourceLeases:
    return ResourceLeases(runners)


def attempt(task_id: str, *, stage: Stage = Stage.RUNNING, has_resources: bool = True) -> Attempt:
    made = Attempt(task_id, 1, Epoch(1, 1))
    made.stage, made.has_resources = stage, has_resources
    return made


async def test_what_nobody_confirms_ends_and_what_has_not_begun_is_returned(
    leases: ResourceLeases, runners: Runners
) -> None:
    leases.obey(_LEASE)
    assert leases.hold([attempt("runs"), attempt("waits", stage=Stage.QUEUED), attempt("plain", has_resources=False)])
    await eventually(lambda: runners.stopped and runners.returned)
    assert runners.stopped == [("runs", Stop.LEASE_ENDED)]
    assert runners.returned == ["waits"]


async def test_a_confirmed_renewal_moves_the_end_to_a_lease_after_it_was_sent(
    leases: ResourceLeases, runners: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("tercio.resource_leases.time.monotonic", lambda: now[0])
    leases.obey(_HOUR)
    leases.hold([attempt("t")])
    now[0] += 3_000
    number = leases.sent()
    now[0] += 500
    leases.obey(work_pb2.WorkResponse(confirmed_renewal=number))
    now[0] = 1_000 + 3_000 + 3_594.9
    leases._end_expired()
    assert not runners.stopped
    now[0] += 0.2
    leases._end_expired()
    assert runners.stopped == [("t", Stop.LEASE_ENDED)]
    leases.close()


async def test_an_agent_without_resources_asks_for_no_confirmation(leases: ResourceLeases) -> None:
    leases.obey(_LEASE)
    assert not leases.hold([attempt("plain", has_resources=False)])
    assert leases.sent() == 0


async def test_what_ended_is_left_alone(leases: ResourceLeases, runners: Runners) -> None:
    leases.obey(_LEASE)
    done = attempt("done")
    leases.hold([done, attempt("runs")])
    done.stage = Stage.ENDED
    await eventually(lambda: runners.stopped)
    await asyncio.sleep(0)
    assert runners.stopped == [("runs", Stop.LEASE_ENDED)]

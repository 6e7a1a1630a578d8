"""What attempts use is told in bulk, of those that hold something, and to nobody while nobody listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import pytest

from tercio.api.resources.v1 import usage_service_pb2 as pb
from tercio.attempts import Attempt, Epoch, Stage
from tercio.metering import OWN, Reading
from tercio.rpc.errors import UnavailableError
from tercio.usage import SPENT, UsageReports, note_spent
from tercio_common.testing.eventually import eventually

_MB = 1 << 20
_RATE = 2
"""Processor time per time that the meter shows, so 2,000 millicores."""


class RisingMeter:
    """Shows processor time that rises evenly; sessions that are not told of are gone."""

    def __init__(self, **memory: int) -> None:
        self.memory = {int(session.removeprefix("s")): amount * _MB for session, amount in memory.items()}

    def read(self, sessions: Collection[int]) -> Mapping[int, Reading]:
        now = round(time.monotonic() * 1000 * _RATE)
        return {each: Reading(now, self.memory[each]) for each in sessions if each in self.memory}


class Service:
    """The resources service as a remote."""

    def __init__(self) -> None:
        self.requests: list[pb.ReportUsageRequest] = []
        self.is_away = False

    async def unary(self, _method: Callable[..., Any], request: pb.ReportUsageRequest, *, timeout_s: float) -> None:
        self.requests.append(request)
        if self.is_away:
            raise UnavailableError("away", code=grpc.StatusCode.UNAVAILABLE)

    def used(self, owner: str) -> list[dict[str, int]]:
        return [
            {amount.dimension: amount.amount for amount in each.used}
            for request in self.requests
            for each in request.reports
            if each.owner == owner
        ]


@pytest.fixture
def service() -> Service:
    return Service()


@asynccontextmanager
async def reporting(service: Service, meter: RisingMeter, *, report_s: float = 0.02) -> AsyncIterator[UsageReports]:
    usage = UsageReports(cast(Any, service), meter=meter, report_s=report_s)
    running = asyncio.create_task(usage.run())
    try:
        yield usage
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def attempt(task_id: str, *, session_id: int = OWN, holds: bool = True) -> Attempt:
    made = Attempt(task_id, 7, Epoch(1, 5), task_type="build")
    made.has_resources, made.session_id = holds, session_id
    made.stage, made.started_ns = Stage.RUNNING, time.perf_counter_ns()
    return made


async def test_what_the_process_uses_is_divided_among_the_attempts_that_run_in_it(service: Service) -> None:
    async with reporting(service, RisingMeter(s0=80, s9=30)) as usage:
        usage.hold([attempt("a"), attempt("b"), attempt("own", session_id=9), attempt("plain", holds=False)])
        await eventually(lambda: all(len(service.used(f"{name}@1.5.7")) > 3 for name in ("a", "b", "own")))
    shared, alone = service.used("a@1.5.7")[-1], service.used("own@1.5.7")[-1]
    assert (shared["memory"], alone["memory"]) == (40, 30)
    assert 0 < shared["cpu"] < alone["cpu"]
    assert {each.task_type for request in service.requests for each in request.reports} == {"build"}
    assert not service.used("plain@1.5.7")


async def test_those_that_end_together_are_told_of_in_one_message(service: Service) -> None:
    async with reporting(service, RisingMeter(), report_s=60) as usage:
        ended = [attempt(f"t{number}") for number in range(50)]
        usage.hold(ended)
        for each in ended:
            each.spent = {"tokens": 5}
            usage.ended(each)
        await eventually(lambda: bool(service.used("t49@1.5.7")))
    assert [len(request.reports) for request in service.requests] == [50]
    assert service.used("t0@1.5.7") == [{"tokens": 5}]


async def test_nothing_is_said_of_attempts_that_ended_before_they_were_measured(service: Service) -> None:
    async with reporting(service, RisingMeter(s0=1), report_s=60) as usage:
        usage.hold([short := attempt("short"), last := attempt("last")])
        usage.ended(short)
        last.spent = {"tokens": 1}
        usage.ended(last)
        await eventually(lambda: bool(service.requests))
    assert [each.owner for request in service.requests for each in request.reports] == ["last@1.5.7"]


async def test_while_nobody_takes_reports_fewer_and_fewer_are_sent(service: Service) -> None:
    service.is_away = True
    async with reporting(service, RisingMeter(s0=1)) as usage:
        usage.hold([attempt("a")])
        began = time.monotonic()
        await eventually(lambda: len(service.requests) >= 4)
        assert time.monotonic() - began > 0.02 + 0.04 + 0.08
        service.is_away = False
        await eventually(lambda: len(service.requests) >= 7)


async def test_an_agent_whose_attempts_hold_nothing_sends_nothing(service: Service) -> None:
    async with reporting(service, RisingMeter(s0=1)) as usage:
        usage.hold([each := attempt("plain", holds=False)])
        usage.ended(each)
        usage.hold([marker := attempt("marker")])
        marker.spent = {"tokens": 1}
        usage.ended(marker)
        await eventually(lambda: bool(service.requests))
    assert len(service.requests) == 1


def test_what_is_spent_counts_for_the_attempt_that_runs() -> None:
    note_spent("tokens", 5)  # nobody holds anything here
    spent: dict[str, int] = {}
    token = SPENT.set(spent)
    try:
        note_spent("tokens", 5)
        note_spent("tokens", 6)
    finally:
        SPENT.reset(token)
    assert spent == {"tokens": 11}

"""Registration phase by phase: what each reports, how each fails, and that a failure leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from prometheus_client import REGISTRY

from support.registration_faults import EVERY_PHASE, PHASES, PORTS
from support.registry import (
    FIRST,
    SECRET,
    SETTINGS,
    Registry,
    detail_of,
    fields_of,
    info_of,
    reason_of,
    running_registry,
)
from support.registry_ports import Ledgers
from tercio.api.registry.v1 import registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.errors import Refusal
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock

Report = registration_pb2.RegistrationReport
CPU = ResourceAmount(dimension="cpu", amount=4_000, unit="millicores")
MORE_CPU = ResourceAmount(dimension="cpu", amount=8_000, unit="millicores")


@pytest.fixture
def ledgers(tmp_path: Path) -> Ledgers:
    return Ledgers(tmp_path)


@pytest.fixture
async def reserving(store: MemoryStore, clock: ManualClock, ledgers: Ledgers) -> AsyncIterator[Registry]:
    """A registry whose registrations have effects outside."""
    async with running_registry(store, clock=clock, outside=ledgers.outside) as running:
        yield running


def steps(report: Report) -> list[tuple[str, str]]:
    return [
        (
            Report.Phase.Name(step.phase).removeprefix("PHASE_"),
            Report.Outcome.Name(step.outcome).removeprefix("OUTCOME_"),
        )
        for step in report.phases
    ]


async def refused(call: Any) -> tuple[grpc.aio.AioRpcError, Report]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value, detail_of(caught.value, Report)


def noted(registry: Registry) -> list[Any]:
    return list(registry.service.host.machine.obligations.table.values())


def failures(phase: str, reason: str) -> float:
    labels = {"phase": phase.lower(), "reason": reason}
    return REGISTRY.get_sample_value("tercio_registry_registration_failures_total", labels) or 0


def measured(phase: str) -> float:
    labels = {"phase": phase.lower()}
    return REGISTRY.get_sample_value("tercio_registry_registration_phase_seconds_count", labels) or 0


async def test_every_phase_is_reported_and_measured(registry: Registry) -> None:
    before = [measured(phase) for phase in EVERY_PHASE]
    reply = await registry.register(resource_requirements=[CPU], max_resources=[MORE_CPU])
    assert steps(reply.report) == [(phase, "COMPLETED") for phase in EVERY_PHASE]
    assert [measured(phase) for phase in EVERY_PHASE] == [count + 1 for count in before]
    assert all(step.detail and step.HasField("duration") for step in reply.report.phases)
    assert reply.report.phases[1].detail.startswith("no clearance service is configured: every authenticated principal")
    assert "nothing is reserved" in reply.report.phases[2].detail
    assert (list(reply.agent.resource_requirements), list(reply.agent.max_resources)) == ([CPU], [MORE_CPU])
    assert not reply.reservation.amounts
    found = await registry.stub.GetAgent(pb.GetAgentRequest(agent_id="a"))
    assert found.registration == reply.report
    assert noted(registry) == []


async def test_the_reply_tells_how_the_agent_is_watched(registry: Registry) -> None:
    monitoring = (await registry.register()).monitoring
    assert 900 <= monitoring.heartbeat_interval.ToMilliseconds() <= 1_100
    assert monitoring.report_interval == monitoring.heartbeat_interval
    thresholds = (monitoring.degraded_after, monitoring.unhealthy_after, monitoring.lease_ttl)
    assert [each.ToMilliseconds() for each in thresholds] == [1_500, 2_500, 3_000]


async def test_what_a_port_reserves_belongs_to_the_agent_until_it_leaves(reserving: Registry, ledgers: Ledgers) -> None:
    reply = await reserving.register(resource_requirements=[CPU])
    assert ledgers.entries() == ([reply.report.registration_id], [reply.report.registration_id])
    assert list(reply.reservation.amounts) == [CPU]
    again = await reserving.register(instance_id=b"2" * 16)
    await eventually(lambda: ledgers.entries() == ([again.report.registration_id],) * 2)
    left = await reserving.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
    assert ledgers.entries() == ([], [])
    assert left.report.parts[1].outcome == registration_pb2.DeregistrationReport.OUTCOME_COMPLETED
    assert noted(reserving) == []


async def test_an_agent_that_is_gone_loses_what_was_reserved(reserving: Registry, ledgers: Ledgers) -> None:
    await reserving.register()
    await reserving.clock.advance(4_000)
    await eventually(lambda: ledgers.entries() == ([], []))
    assert await reserving.state() == "GONE"


async def test_a_retry_asks_for_nothing_again(reserving: Registry, ledgers: Ledgers) -> None:
    first = await reserving.register(request_id="r")
    again = await reserving.register(request_id="r")
    assert again.agent == first.agent
    assert ledgers.entries() == ([first.report.registration_id],) * 2


@pytest.mark.parametrize("phase", EVERY_PHASE)
async def test_a_phase_that_fails_unexpectedly_is_named_and_leaves_nothing_behind(
    reserving: Registry, ledgers: Ledgers, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the server")

    if phase in PORTS:
        ledgers.fail_with(RuntimeError("a secret of the server"), at=PORTS[phase])
    else:
        monkeypatch.setattr(*PHASES[phase], fail)
    before = failures(phase, "REGISTRATION_EXCEPTION")
    error, report = await refused(reserving.register())
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INTERNAL, "REGISTRATION_EXCEPTION")
    assert info_of(error).metadata["phase"] == phase.lower()
    assert "secret" not in (error.details() or "") + str(report)
    outcomes = dict(steps(report))
    assert outcomes[phase] == "FAILED"
    assert failures(phase, "REGISTRATION_EXCEPTION") == before + 1
    order = EVERY_PHASE.index(phase)
    for earlier in EVERY_PHASE[:order]:
        undone = earlier in {"CLEARANCE", "RESOURCES"} or (earlier == "PERSIST")
        assert outcomes[earlier] == ("UNDONE" if undone else "COMPLETED"), earlier
    assert not set(outcomes) - set(EVERY_PHASE[: order + 1])
    assert ledgers.entries() == ([], [])
    assert noted(reserving) == []
    row = reserving.service.host.machine.agents.get("a")
    assert row is None if phase != "ANNOUNCE" else not row.active


async def test_a_wrong_specification_is_told_field_by_field(registry: Registry) -> None:
    error, report = await refused(
        registry.register(
            "a b",
            capabilities={"x": 101},
            resource_requirements=[MORE_CPU, MORE_CPU, ResourceAmount(dimension="?", amount=-1)],
            max_resources=[CPU],
            start_time=Timestamp(seconds=10**17),
        )
    )
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SPECIFICATION")
    assert fields_of(error) == [
        "agent_id",
        "capabilities[x]",
        "resource_requirements[1].dimension",
        "resource_requirements[2].dimension",
        "resource_requirements[2].amount",
        "max_resources",
        "max_resources",
        "start_time",
    ]
    assert steps(report) == [("VALIDATE", "FAILED")]


@pytest.mark.parametrize(
    ("at", "phase", "reason"),
    [("clear", "CLEARANCE", "SECURITY_CLEARANCE_DENIED"), ("reserve", "RESOURCES", "RESOURCE_ALLOCATION_FAILED")],
)
async def test_a_port_that_refuses_says_why(
    reserving: Registry, ledgers: Ledgers, at: str, phase: str, reason: str
) -> None:
    ledgers.fail_with(Refusal(reason, "not today", {"issues": "no room"}), at=at)
    error, report = await refused(reserving.register())
    assert (reason_of(error), info_of(error).metadata["issues"]) == (reason, "no room")
    assert steps(report)[-1] == (phase, "FAILED")
    assert ledgers.entries() == ([], [])


async def test_an_impostor_loses_what_was_reserved_for_it(reserving: Registry, ledgers: Ledgers) -> None:
    mine = await reserving.register()
    error, report = await refused(reserving.register(identity_secret=b"another secret of sixteen bytes"))
    assert reason_of(error) == "AGENT_IMPOSTOR"
    assert steps(report)[-1] == ("PERSIST", "FAILED")
    assert ledgers.entries() == ([mine.report.registration_id],) * 2


async def test_what_cannot_be_undone_at_once_is_undone_later(reserving: Registry, ledgers: Ledgers) -> None:
    def fail(what: str) -> None:
        if what in {"reserve", "release"}:
            raise RuntimeError("the service is away")

    ledgers.reservations.fail = fail
    _, report = await refused(reserving.register())
    assert dict(steps(report)) == {
        "VALIDATE": "COMPLETED",
        "CLEARANCE": "UNDONE",
        "RESOURCES": "FAILED",
    }
    assert ledgers.entries() == ([], [report.registration_id])
    ledgers.reservations.fail = lambda _what: None
    await reserving.clock.advance(1_500)
    await eventually(lambda: ledgers.entries() == ([], []))


async def test_a_caller_that_goes_away_leaves_nothing_behind(reserving: Registry, ledgers: Ledgers) -> None:
    ledgers.reservations.may_answer.clear()
    call = reserving.stub.RegisterAgent(
        pb.RegisterAgentRequest(agent_id="a", identity_secret=SECRET, instance_id=FIRST)
    )
    await ledgers.reservations.asked.wait()
    assert len(ledgers.entries()[1]) == 1
    call.cancel()
    await eventually(lambda: ledgers.entries() == ([], []))
    assert reserving.service.host.machine.agents.get("a") is None


async def test_one_agent_too_many_is_told_the_gap_and_keeps_nothing(
    store: MemoryStore, clock: ManualClock, ledgers: Ledgers
) -> None:
    settings = SETTINGS.model_copy(update={"max_agents": 1})
    async with running_registry(store, clock=clock, settings=settings, outside=ledgers.outside) as registry:
        mine = await registry.register("a")
        error, report = await refused(registry.register("b"))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(error) == "AGENT_LIMIT_REACHED"
        (violation,) = detail_of(error, error_details_pb2.QuotaFailure).violations
        assert (violation.subject, violation.description) == ("fleet:agents", "agents: 2 required, 1 available")
        assert steps(report)[-1] == ("PERSIST", "FAILED")
        assert ledgers.entries() == ([mine.report.registration_id],) * 2
        await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(request_id="r", agent_id="a"))
        assert (await registry.register("b")).agent.incarnation

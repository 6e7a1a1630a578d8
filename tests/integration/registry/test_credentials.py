"""Credentials: issued in the answer to a registration, kept nowhere, and revoked with the incarnation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from support.registry import FIRST, SECRET, Registry, detail_of, reason_of, running_registry
from support.registry_ports import EXPIRES, SECRET_OF, Ledgers
from tercio.api.registry.v1 import registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.errors import Refusal
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.app import NAME
from tercio_registry.effects import undo
from tercio_registry.ports import Credential

Part = registration_pb2.DeregistrationReport
Report = registration_pb2.RegistrationReport


@pytest.fixture
def ledgers(tmp_path: Path) -> Ledgers:
    return Ledgers(tmp_path)


@pytest.fixture
async def issuing(store: MemoryStore, clock: ManualClock, ledgers: Ledgers) -> AsyncIterator[Registry]:
    """A registry whose clearance issues credentials."""
    async with running_registry(store, clock=clock, outside=ledgers.outside) as running:
        yield running


def part(reply: pb.DeregisterAgentResponse, kind: Part.Part.ValueType) -> tuple[str, str]:
    (found,) = [each for each in reply.report.parts if each.part == kind]
    return Part.Outcome.Name(found.outcome).removeprefix("OUTCOME_"), found.detail


async def leave(registry: Registry) -> pb.DeregisterAgentResponse:
    reply: pb.DeregisterAgentResponse = await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
    return reply


async def test_an_agent_is_given_what_was_issued_until_it_leaves(issuing: Registry, ledgers: Ledgers) -> None:
    reply = await issuing.register()
    (credential,) = reply.credentials
    name = reply.report.registration_id
    assert (credential.credential_id, credential.kind) == (name, "token")
    assert credential.secret.decode() == f"{SECRET_OF} {name}"
    assert credential.expire_time.ToMilliseconds() == EXPIRES
    assert ledgers.clearances.entries() == [name]

    assert part(await leave(issuing), Part.PART_CREDENTIALS) == ("COMPLETED", "what was issued is revoked")
    assert ledgers.clearances.entries() == []


async def test_without_a_port_none_are_issued_and_the_reports_say_so(registry: Registry) -> None:
    reply = await registry.register()
    assert not reply.credentials
    assert reply.report.phases[1].detail.endswith("and no credentials are issued")
    assert part(await leave(registry), Part.PART_CREDENTIALS) == ("COMPLETED", "no credentials were issued")


async def test_a_secret_is_neither_kept_nor_shown(
    issuing: Registry, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    request = pb.RegisterAgentRequest(request_id="r", agent_id="a", identity_secret=SECRET, instance_id=FIRST)
    assert len((await issuing.stub.RegisterAgent(request)).credentials) == 1
    assert not (await issuing.stub.RegisterAgent(request)).credentials  # the kept answer has none
    records = b"".join([segment.value for segment in await store.journal(NAME).read(0)])
    assert (await issuing.get()).fingerprint.encode() in records  # which are neither sealed nor packed
    kept = repr([list(table.values()) for table in issuing.service.host.machine.tables.tables.values()])
    assert SECRET_OF not in kept + records.decode(errors="replace") + caplog.text
    assert "secret" not in repr(Credential(credential_id="c", kind="k", secret=b"secret"))


async def test_credentials_of_a_registration_that_fails_later_are_revoked(issuing: Registry, ledgers: Ledgers) -> None:
    ledgers.fail_with(Refusal("RESOURCE_ALLOCATION_FAILED", "not today"), at="reserve")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await issuing.register()
    report = detail_of(caught.value, Report)
    assert (report.phases[1].phase, report.phases[1].outcome) == (Report.PHASE_CLEARANCE, Report.OUTCOME_UNDONE)
    assert ledgers.entries() == ([], [])


async def test_what_was_issued_while_the_answer_was_lost_is_revoked(issuing: Registry, ledgers: Ledgers) -> None:
    """The issuer did it, and its answer never came."""
    ledgers.fail_with(ConnectionError("the issuer is away"), at="clear")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await issuing.register()
    assert reason_of(caught.value) == "REGISTRATION_EXCEPTION"
    assert ledgers.clearances.entries() == []


async def test_a_retry_that_overtakes_its_request_is_given_nothing_that_is_revoked(
    issuing: Registry, ledgers: Ledgers
) -> None:
    request = pb.RegisterAgentRequest(request_id="r", agent_id="a", identity_secret=SECRET, instance_id=FIRST)
    ledgers.reservations.may_answer.clear()
    calls = [issuing.stub.RegisterAgent(request) for _ in range(2)]
    await eventually(lambda: len(ledgers.reservations.entries()) == 2)
    ledgers.reservations.may_answer.set()
    replies = [await call for call in calls]
    assert replies[0].agent == replies[1].agent
    (credential,) = [each for reply in replies for each in reply.credentials]
    await eventually(lambda: ledgers.entries() == ([credential.credential_id],) * 2)
    found = await issuing.stub.GetAgent(pb.GetAgentRequest(agent_id="a"))
    assert found.registration.registration_id == credential.credential_id


async def test_an_issuer_that_is_away_revokes_later_and_holds_nothing_else_up(
    issuing: Registry, ledgers: Ledgers
) -> None:
    await issuing.register()
    ledgers.fail_with(ConnectionError("the issuer is away"), at="revoke")
    reply = await leave(issuing)
    assert part(reply, Part.PART_CREDENTIALS) == ("PENDING", "the registry tries again until it succeeds")
    assert part(reply, Part.PART_RESOURCES) == ("COMPLETED", "nothing was reserved")
    ledgers.fail_with(ConnectionError(), at="nothing")
    await issuing.clock.advance(1_500)
    await eventually(lambda: ledgers.entries() == ([], []))


async def test_resources_that_are_away_do_not_keep_credentials_alive(issuing: Registry, ledgers: Ledgers) -> None:
    await issuing.register()
    ledgers.fail_with(ConnectionError("resources are away"), at="release")
    reply = await leave(issuing)
    assert part(reply, Part.PART_CREDENTIALS) == ("COMPLETED", "what was issued is revoked")
    assert part(reply, Part.PART_RESOURCES)[0] == "PENDING"
    assert ledgers.clearances.entries() == []


async def test_many_that_cannot_be_given_back_keep_no_credential_alive(issuing: Registry, ledgers: Ledgers) -> None:
    for number in range(2 * undo._AT_ONCE + 1):
        await issuing.register(f"a{number}")
    ledgers.fail_with(ConnectionError("resources are away"), at="release")
    await issuing.clock.advance(4_000)
    await eventually(lambda: not ledgers.clearances.entries())
    assert len(ledgers.reservations.entries()) == 2 * undo._AT_ONCE + 1
    ledgers.fail_with(ConnectionError(), at="nothing")
    await issuing.clock.advance(1_500)
    await eventually(lambda: ledgers.entries() == ([], []))


async def test_the_next_process_keeps_what_is_reserved_and_not_what_was_issued(
    issuing: Registry, ledgers: Ledgers
) -> None:
    cpu = [ResourceAmount(dimension="cpu", amount=1)]
    first = await issuing.register(resource_requirements=cpu)
    ledgers.fail_with(ConnectionError("the issuer is away"), at="revoke")
    second = await issuing.register(instance_id=b"2" * 16, resource_requirements=cpu)
    former, present = first.report.registration_id, second.report.registration_id
    assert ledgers.entries() == ([former, present], [former])
    ledgers.fail_with(ConnectionError(), at="nothing")
    await issuing.clock.advance(1_500)
    await eventually(lambda: ledgers.entries() == ([present], [former]))
    await leave(issuing)
    assert ledgers.entries() == ([], [])


async def test_the_next_process_is_issued_its_own(issuing: Registry, ledgers: Ledgers) -> None:
    first = await issuing.register()
    second = await issuing.register(instance_id=b"2" * 16)
    assert first.credentials[0].secret != second.credentials[0].secret
    await eventually(lambda: ledgers.clearances.entries() == [second.report.registration_id])

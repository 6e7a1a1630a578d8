"""AuditService of the registry, through real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from support.registry import SECOND, Registry, fields_of, reason_of
from tercio.api.registry.v1 import audit_service_pb2 as pb
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb
from tercio.api.registry.v1.audit_service_pb2_grpc import AuditServiceStub
from tercio.api.type.v1.audit_event_pb2 import AuditEvent, AuditFilter
from tercio_common.ids import decode_cursor, encode_cursor


@pytest.fixture
async def audit(registry: Registry) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"localhost:{registry.port}") as channel:
        yield AuditServiceStub(channel)


async def listed(audit: Any, *, size: int = 2, **chosen: Any) -> list[AuditEvent]:
    found: list[AuditEvent] = []
    token = ""
    while True:
        request = pb.ListAuditEventsRequest(page_size=size, page_token=token, filter=AuditFilter(**chosen))
        page = await audit.ListAuditEvents(request)
        found += page.events
        token = page.next_page_token
        if not token:
            return found


async def refused(audit: Any, request: pb.ListAuditEventsRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await audit.ListAuditEvents(request)
    return caught.value


async def test_who_changed_what_is_listed_newest_first(registry: Registry, audit: Any) -> None:
    await registry.register("a", request_id="r")
    await registry.register("a", request_id="r")
    for _ in range(2):  # the second one changes nothing
        await registry.stub.CordonAgent(registry_pb.CordonAgentRequest(agent_id="a", cordoned=True))
    with pytest.raises(grpc.aio.AioRpcError):
        await registry.stub.DrainAgent(registry_pb.DrainAgentRequest(agent_id="nobody"))
    cordoned, registered = await listed(audit)
    assert registered.principal == "local"
    assert registered.method == "/tercio.api.registry.v1.RegistryService/RegisterAgent"
    assert registered.request_id == "r"
    assert registered.time.ToMilliseconds() == registry.clock.wall_ms()
    assert (list(registered.changes), list(registered.resources)) == (["AgentRegistered"], ["agents/a"])
    assert (list(cordoned.changes), list(cordoned.resources)) == (["AgentCordoned"], ["agents/a"])
    assert await listed(audit, method="CordonAgent") == [cordoned]
    assert await listed(audit, principal="nobody") == []


async def test_what_the_registry_does_by_itself_is_told_as_its_own(registry: Registry, audit: Any) -> None:
    await registry.register("a")
    await registry.register("b", identity_secret=b"another secret of it", instance_id=SECOND)
    await registry.clock.advance(60_000)
    gone = await listed(audit, method="timer")
    assert gone
    assert {event.principal for event in gone} == {"tercio"}
    assert {"agents/a", "agents/b"} == {name for event in gone for name in event.resources}


async def test_wrong_requests_are_told_what_is_wrong(registry: Registry, audit: Any) -> None:
    wrong = AuditFilter(principal="x" * 129, method="x" * 257, request_id="x" * 129)
    wrong.start_time.seconds = -1
    error = await refused(audit, pb.ListAuditEventsRequest(page_size=1_001, filter=wrong))
    assert set(fields_of(error)) == {
        "filter.principal",
        "filter.method",
        "filter.request_id",
        "filter.start_time",
        "page_size",
    }


async def test_a_token_is_good_for_its_own_filter_only(registry: Registry, audit: Any) -> None:
    for name in "abc":
        await registry.register(name)
    page = await audit.ListAuditEvents(pb.ListAuditEventsRequest(page_size=1))
    other = pb.ListAuditEventsRequest(page_token=page.next_page_token, filter=AuditFilter(principal="local"))
    for request in (other, pb.ListAuditEventsRequest(page_token="nonsense")):
        assert reason_of(await refused(audit, request)) == "CURSOR_INVALID"


@pytest.mark.parametrize("beyond", ["1.{}.0", "1.{0}.{0}", "1.0.{}"], ids=["segment", "both", "chunk"])
async def test_a_token_beyond_the_end_of_the_trail_is_refused(registry: Registry, audit: Any, beyond: str) -> None:
    for name in "ab":
        await registry.register(name)
    page = await audit.ListAuditEvents(pb.ListAuditEventsRequest(page_size=1))
    digest = decode_cursor("audit", page.next_page_token)[1].rpartition(".")[2]
    made_up = encode_cursor("audit", shard=0, position=f"{beyond.format(10**20)}.{digest}")
    assert reason_of(await refused(audit, pb.ListAuditEventsRequest(page_token=made_up))) == "CURSOR_INVALID"

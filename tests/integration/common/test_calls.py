"""What the edge does around a call: deadlines, identity, limits, tracing, and what it tells the servicer."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.wrappers_pb2 import StringValue

from support.edge import DENIED, METHODS, TOKEN, Context, Edge, failure_of, running_edge
from tercio.api.registry.v1 import registry_service_pb2
from tercio_common.clock import SystemClock
from tercio_common.errors import Refusal
from tercio_common.machine.calls import Call
from tercio_common.rpc import principal
from tercio_common.rpc.calls import call_of, call_of_frame
from tercio_common.rpc.interceptors.deadlines import remaining_ms
from tercio_common.telemetry.traces import current_trace_id

ROUNDING_MS = 10
"""gRPC rounds a deadline up on the wire, by this much from one second on."""
TRACE = "0af7651916cd43dd8448eb211c80319c"


async def accepted(call: Any) -> bool:
    return dict(await call.initial_metadata()).get("tercio-accepted") == "1"


async def whoever(text: str, context: Context) -> str:
    return principal.current()


async def test_a_unary_call_with_too_little_time_is_refused_and_not_tried(edge: Edge) -> None:
    failed = await failure_of(edge.client.ask("One", "x", timeout=0.09))
    # gRPC's own timer may be quicker than the refusal; either way nothing is tried.
    assert failed.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failed.reason in {"DEADLINE_TOO_SHORT", ""}
    assert edge.echo.contexts == []


async def test_a_stream_may_have_a_short_deadline(edge: Edge) -> None:
    assert await edge.client.ask("Many", "x", timeout=0.09) == ["x", "x"]


@pytest.mark.parametrize("method", METHODS)
async def test_sub_calls_get_the_callers_deadline_less_a_reserve(edge: Edge, method: str) -> None:
    async def measure(text: str, context: Context) -> str:
        return str(remaining_ms(SystemClock()))

    edge.echo.answer = measure
    left = int((await edge.client.ask(method, "x", timeout=5))[0])
    assert 4000 < left <= 4980 + ROUNDING_MS
    assert await edge.client.ask("One", "x") == ["None"]


async def test_whoever_comes_over_loopback_is_local(edge: Edge) -> None:
    edge.echo.answer = whoever
    assert await edge.client.ask("One", "x") == ["local"]


async def test_a_method_without_an_authorisation_row_is_denied(edge: Edge) -> None:
    failed = await failure_of(edge.client.ask(DENIED, "x"))
    assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert "no authorisation row" in failed.message
    assert edge.echo.contexts == []


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        pytest.param((), "local", id="nothing"),
        pytest.param((("tercio-replica-token", TOKEN),), "replica", id="the token"),
        pytest.param(
            (("tercio-replica-token", TOKEN), ("tercio-forwarded-principal", "ada")), "ada", id="token and principal"
        ),
        pytest.param((("tercio-replica-token", "a guess"),), "UNAUTHENTICATED", id="a wrong token"),
        pytest.param((("tercio-forwarded-principal", "ada"),), "PERMISSION_DENIED", id="a principal without token"),
    ],
)
async def test_only_a_process_of_the_fleet_speaks_for_others(given: Any, outcome: str) -> None:
    async with running_edge(replica_token=TOKEN) as edge:
        edge.echo.answer = whoever
        call = edge.client.ask("One", "x", metadata=given)
        if outcome.isupper():
            assert (await failure_of(call)).reason == outcome
        else:
            assert await call == [outcome]


async def test_without_a_token_loopback_is_the_proof(edge: Edge) -> None:
    edge.echo.answer = whoever
    assert await edge.client.ask("One", "x", metadata=(("tercio-forwarded-principal", "ada"),)) == ["ada"]


async def test_calls_over_the_limit_are_refused_at_once_and_taken_again_when_others_end() -> None:
    async with running_edge(max_unary_calls=1) as edge:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def wait(text: str, context: Context) -> str:
            entered.set()
            await leave.wait()
            return text

        edge.echo.answer = wait
        first = asyncio.ensure_future(edge.client.ask("One", "first"))
        await entered.wait()
        failed = await failure_of(edge.client.ask("One", "second"))
        assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert failed.retry_after_ms > 0
        leave.set()
        assert await first == ["first"]
        assert await edge.client.ask("One", "third") == ["third"]


async def test_every_unary_answer_tells_its_duration_also_a_failed_one(edge: Edge) -> None:
    call = edge.client.start("One", "x")
    await call
    assert float(dict(await call.trailing_metadata())["tercio-duration-ms"]) >= 0

    async def refuse(text: str, context: Context) -> str:
        raise Refusal("QUEUE_FULL", "wait")

    edge.echo.answer = refuse
    failed = await failure_of(edge.client.ask("One", "x"))
    assert float(failed.trailing["tercio-duration-ms"]) >= 0


@pytest.mark.parametrize("method", METHODS)
async def test_trace_and_request_id_reach_the_log_and_come_back(edge: Edge, method: str) -> None:
    async def bound(text: str, context: Context) -> str:
        found = structlog.contextvars.get_contextvars()
        return f"{found['request_id']} {found['trace_id']} {current_trace_id()}"

    edge.echo.answer = bound
    given = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"), ("tercio-request-id", "my-call"))
    call = edge.client.start(method, "x", metadata=given)
    replies = [reply async for reply in call] if method in {"Many", "Chat"} else [await call]
    assert replies[0].value == f"my-call {TRACE} {TRACE}"
    assert dict(await call.trailing_metadata())["tercio-request-id"] == "my-call"


async def test_a_call_without_a_request_id_gets_one_and_a_malformed_one_is_replaced(edge: Edge) -> None:
    ids = set()
    for given in ((), (("tercio-request-id", "x" * 200),)):
        call = edge.client.start("One", "x", metadata=given)
        await call
        ids.add(dict(await call.trailing_metadata())["tercio-request-id"])
    assert {len(one) for one in ids} == {26}
    assert len(ids) == 2


@pytest.mark.parametrize("method", METHODS)
async def test_a_servicer_may_answer_with_bytes_that_were_rendered_before(edge: Edge, method: str) -> None:
    edge.echo.render = lambda text: StringValue(value=text).SerializeToString()
    assert (await edge.client.ask(method, "rendered"))[0] == "rendered"


async def test_a_call_for_the_host_names_principal_method_digest_and_age(edge: Edge) -> None:
    request = registry_service_pb2.DeregisterAgentRequest(request_id="r1", agent_id="a")
    made: list[Call] = []

    async def make(text: str, context: Context) -> str:
        made.append(call_of(request, context))
        made.append(call_of_frame(session_id="s", frame_number=3))
        made.append(call_of(registry_service_pb2.GetAgentRequest(agent_id="a"), context))
        return text

    edge.echo.answer = make
    await edge.client.ask("One", "x", metadata=(("tercio-age-ms", "1200"),))
    path = "/tercio.test.v1.EchoService/One"
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    assert made == [
        Call("local", path, "r1", digest, 1200),
        Call("local", path, session_id="s", frame_number=3),
        Call("local", path, age_ms=1200),
    ]


@pytest.mark.parametrize(
    ("request_id", "age"), [("x" * 129, "0"), ("r", "-1"), ("r", "soon"), ("r", "9" * 30)], ids=str
)
async def test_a_malformed_request_id_or_age_is_refused(edge: Edge, request_id: str, age: str) -> None:
    async def make(text: str, context: Context) -> str:
        call_of(registry_service_pb2.DeregisterAgentRequest(request_id=request_id), context)
        return text

    edge.echo.answer = make
    failed = await failure_of(edge.client.ask("One", "x", metadata=(("tercio-age-ms", age),)))
    assert failed.reason == "INVALID_ARGUMENT"
    assert len(failed.violations) == 1


async def test_work_that_no_call_started_has_no_principal() -> None:
    with pytest.raises(Refusal, match="UNAUTHENTICATED"):
        principal.current()


@pytest.mark.parametrize("method", ["Gather", "Chat"])
async def test_a_stream_of_requests_is_told_at_once_that_it_is_accepted_or_refused(edge: Edge, method: str) -> None:
    kind = {"Gather": edge.client.channel.stream_unary, "Chat": edge.client.channel.stream_stream}[method]
    path = f"/tercio.test.v1.EchoService/{method}"
    call = kind(path)()
    assert await accepted(call)
    call.cancel()
    await edge.server.refuse_new()
    call = kind(path)()
    assert not await accepted(call)
    assert await call.code() is grpc.StatusCode.UNAVAILABLE

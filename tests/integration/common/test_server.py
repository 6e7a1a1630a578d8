"""The server as a whole: reflection, health, metrics, ports, drain."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from support.edge import ECHO, Context, Echo, Edge, FakeHost, echo_service, failure_of, running_edge
from tercio_common.clock import SystemClock
from tercio_common.errors import SettingsError
from tercio_common.rpc.server import start_server
from tercio_common.settings import ServerSettings
from tercio_common.testing.eventually import eventually

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def check_health(edge: Edge, name: str) -> Any:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.server.health_port}") as channel:
        return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))).status


async def wait_for_health(edge: Edge, name: str, status: Any) -> None:
    async def reached() -> bool:
        return bool(await check_health(edge, name) == status)

    await eventually(reached)


def scrape(edge: Edge) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.server.metrics_port}/metrics", timeout=5) as reply:
        return str(reply.read().decode())


async def test_reflection_names_the_services(edge: Edge) -> None:
    async def ask() -> Any:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    stub = reflection_pb2_grpc.ServerReflectionStub(edge.client.channel)
    (reply,) = [reply async for reply in stub.ServerReflectionInfo(ask())]
    names = [one.name for one in reply.list_services_response.service]
    assert names == ["grpc.reflection.v1alpha.ServerReflection", ECHO]


async def test_health_is_serving_while_the_process_can_answer_or_forward(edge: Edge) -> None:
    for name in ("", "echo", ECHO):
        assert await check_health(edge, name) == SERVING
    edge.host.lose_leader()
    for name in ("", "echo", ECHO):
        await wait_for_health(edge, name, NOT_SERVING)
    assert await check_health(edge, "live") == SERVING
    edge.host.follow("127.0.0.1:1")
    await wait_for_health(edge, "", SERVING)


async def test_metrics_count_calls_by_method_code_and_reason(edge: Edge) -> None:
    edge.host.lose_leader()
    await failure_of(edge.client.ask("One", "x"))
    page = await asyncio.to_thread(scrape, edge)
    labels = f'code="UNAVAILABLE",method="One",reason="NO_LEADER",service="{ECHO}"'
    assert f"tercio_rpc_calls_total{{{labels}}}" in page
    assert f'tercio_rpc_duration_seconds_count{{method="One",service="{ECHO}"}}' in page
    assert f'tercio_rpc_present_calls{{method="One",service="{ECHO}"}} 0.0' in page


async def test_a_port_that_is_taken_is_named(edge: Edge) -> None:
    settings = ServerSettings(port=edge.server.port, health_port=0, metrics_port=0)
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{edge.server.port}"):
        await start_server([echo_service(FakeHost(), Echo())], settings=settings, clock=SystemClock())


async def test_two_services_with_the_same_method_are_refused() -> None:
    twice = [echo_service(FakeHost(), Echo())] * 2
    with pytest.raises(ValueError, match="two authorisation rows"):
        await start_server(twice, settings=ServerSettings(port=0), clock=SystemClock())


async def test_drain_finishes_unary_calls_sends_streams_away_and_refuses_new_ones() -> None:
    async with running_edge() as edge:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def wait(text: str, context: Context) -> str:
            entered.set()
            await leave.wait()
            return text

        edge.echo.answer = wait
        unary = asyncio.ensure_future(edge.client.ask("One", "x"))
        await entered.wait()
        entered.clear()
        stream = asyncio.ensure_future(failure_of(edge.client.ask("Many", "x")))
        await entered.wait()

        await edge.server.refuse_new()
        assert await check_health(edge, "") == NOT_SERVING
        refused = await failure_of(edge.client.ask("One", "x"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")

        closing = asyncio.ensure_future(edge.server.close(grace_ms=5000))
        sent_away = await stream
        assert (sent_away.code, sent_away.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert sent_away.retry_after_ms > 0
        leave.set()
        assert await unary == ["x"]
        await closing
        assert (await failure_of(edge.client.ask("One", "x"))).code is grpc.StatusCode.UNAVAILABLE


async def test_a_drained_server_frees_its_ports() -> None:
    async with running_edge() as edge:
        await edge.server.drain()
        settings = ServerSettings(
            port=edge.server.port, health_port=edge.server.health_port, metrics_port=edge.server.metrics_port
        )
        again = await start_server([echo_service(edge.host, edge.echo)], settings=settings, clock=SystemClock())
        assert await edge.client.ask("One", "x", wait_for_ready=True) == ["x"]
        await again.drain()

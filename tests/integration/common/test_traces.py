"""Traces reach the collector that the settings name, and continue the client's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from support.edge import Context, failure_of, running_edge
from tercio_common.errors import Refusal

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.address = ""

    async def Export(self, request: Any, context: Any) -> Any:
        self.spans += [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    running, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(running, server)
    running.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield running
    await server.stop(None)


async def test_a_sampled_call_is_exported_by_the_end_of_the_drain(collector: Collector) -> None:
    async def fail(text: str, context: Context) -> str:
        raise Refusal("NO_LEADER", "retry")

    async with running_edge(otlp_endpoint=collector.address) as edge:
        await edge.client.ask("One", "x", metadata=SAMPLED)
        edge.echo.answer = fail
        await failure_of(edge.client.ask("One", "x", metadata=SAMPLED))
        await edge.server.drain()
    good, bad = collector.spans
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert good.name == "tercio.test.v1.EchoService/One"
    assert (good.status.code, bad.status.code, bad.status.message) == (0, 2, "NO_LEADER")

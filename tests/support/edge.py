"""A small service for tests of the gRPC edge: all four cardinalities, a host that is told whether it leads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2, status_pb2

from tercio_common.clock import SystemClock
from tercio_common.composition import Service
from tercio_common.election.port import Leader
from tercio_common.epochs import Epoch
from tercio_common.machine.calls import Call, Peer
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_common.rpc.server import RunningServer, start_server
from tercio_common.settings import ServerSettings

ECHO = "tercio.test.v1.EchoService"
METHODS = ("One", "Many", "Gather", "Chat")
CARDINALITIES = {"One": "unary_unary", "Many": "unary_stream", "Gather": "stream_unary", "Chat": "stream_stream"}
DENIED = "Denied"
TOKEN = "a token of the fleet"

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[str, Context], Awaitable[str]]


async def repeat(text: str, context: Context) -> str:
    """Answer with the question."""
    return text


@dataclass(slots=True, eq=False)
class FakeHost:
    """A replica that does what it is told."""

    address: str = "127.0.0.1:1"
    leading: bool = True
    leader: Leader | None = None
    drained: list[str] = field(default_factory=list)
    met: list[Peer] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def follow(self, address: str) -> None:
        self.leading, self.leader = False, Leader(Epoch(1, 1), address)

    def lose_leader(self) -> None:
        self.leading, self.leader = False, None

    async def run(self) -> None:
        await self.stopped.wait()

    async def meet(self, peer: Peer, call: Call) -> None:
        self.met.append(peer)

    async def drain(self) -> None:
        self.drained.append("host")
        self.stopped.set()


class Echo:
    """Answers each text with what `answer` makes of it, in every cardinality."""

    def __init__(self) -> None:
        self.answer: Answer = repeat
        self.render: Callable[[str], Any] = lambda text: StringValue(value=text)
        self.contexts: list[Context] = []

    async def one(self, request: StringValue, context: Context) -> Any:
        self.contexts.append(context)
        return self.render(await self.answer(request.value, context))

    async def many(self, request: StringValue, context: Context) -> AsyncIterator[Any]:
        self.contexts.append(context)
        for _ in range(2):
            yield self.render(await self.answer(request.value, context))

    async def gather(self, requests: AsyncIterator[StringValue], context: Context) -> Any:
        self.contexts.append(context)
        return self.render("+".join([await self.answer(one.value, context) async for one in requests]))

    async def chat(self, requests: AsyncIterator[StringValue], context: Context) -> AsyncIterator[Any]:
        self.contexts.append(context)
        async for one in requests:
            yield self.render(await self.answer(one.value, context))

    def add_to_server(self, server: grpc.aio.Server) -> None:
        codec: dict[str, Any] = {
            "request_deserializer": StringValue.FromString,
            "response_serializer": StringValue.SerializeToString,
        }
        handlers: dict[str, Any] = {
            "One": grpc.unary_unary_rpc_method_handler(self.one, **codec),
            "Many": grpc.unary_stream_rpc_method_handler(self.many, **codec),
            "Gather": grpc.stream_unary_rpc_method_handler(self.gather, **codec),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat, **codec),
            DENIED: grpc.unary_unary_rpc_method_handler(self.one, **codec),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ECHO, handlers),))


class EchoClient:
    """Calls the service; every call gives its texts, or raises `grpc.aio.AioRpcError`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def start(self, method: str, *texts: str | bytes, **options: Any) -> Any:
        """Start a call with these texts, or these bytes as they are."""
        cardinality = CARDINALITIES.get(method, "unary_unary")
        stub = getattr(self.channel, cardinality)(f"/{ECHO}/{method}", None, StringValue.FromString)
        messages = [text if isinstance(text, bytes) else StringValue(value=text).SerializeToString() for text in texts]
        return stub(_given(messages) if cardinality.startswith("stream") else messages[0], **options)

    async def ask(self, method: str, *texts: str | bytes, **options: Any) -> list[str]:
        call = self.start(method, *texts, **options)
        if CARDINALITIES.get(method, "unary_unary").endswith("stream"):
            return [reply.value async for reply in call]
        return [(await call).value]


async def _given(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One replica that answers, and a client of it."""

    host: FakeHost
    echo: Echo
    server: RunningServer
    client: EchoClient

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"


def echo_service(host: FakeHost, echo: Echo) -> Service:
    return Service(
        name="echo",
        host=cast(Host, host),
        add_to_server=echo.add_to_server,
        full_names=(ECHO,),
        rules={f"/{ECHO}/{method}": Rule.ANY_PRINCIPAL for method in METHODS},
    )


@contextlib.asynccontextmanager
async def running_edge(**settings: Any) -> AsyncIterator[Edge]:
    """Run one replica on free ports until the context ends."""
    host, echo = FakeHost(), Echo()
    server = await start_server(
        [echo_service(host, echo)], settings=ServerSettings(port=0, drain_ms=1000, **settings), clock=SystemClock()
    )
    host.address = f"127.0.0.1:{server.port}"
    async with grpc.aio.insecure_channel(host.address) as channel:
        yield Edge(host=host, echo=echo, server=server, client=EchoClient(channel))
    await server.close(grace_ms=0)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call, taken apart."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    retry_after_ms: int
    violations: list[tuple[str, str]]
    trailing: dict[str, Any]


async def failure_of(call: Awaitable[Any]) -> Failure:
    """Wait for a call that fails."""
    try:
        reply = await call
    except grpc.aio.AioRpcError as error:
        return failure(error)
    raise AssertionError(f"the call was answered with {reply}")


def failure(error: grpc.aio.AioRpcError) -> Failure:
    """Take the status of a failed call apart."""
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing.get("grpc-status-details-bin", b""))
    info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for known in (info, retry, bad):
            detail.Unpack(known)
    return Failure(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        retry_after_ms=retry.retry_delay.ToMilliseconds(),
        violations=[(one.field, one.description) for one in bad.field_violations],
        trailing=trailing,
    )

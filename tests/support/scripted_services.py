"""Services that say what a test tells them to say: one queue of streams each, driven from the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tercio.api.registry.v1 import registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb2
from tercio.api.registry.v1 import registry_service_pb2_grpc as registry_grpc
from tercio.api.scheduler.v1 import task_service_pb2, work_service_pb2
from tercio.api.scheduler.v1 import task_service_pb2_grpc as task_grpc
from tercio.api.scheduler.v1 import work_service_pb2_grpc as work_grpc
from tercio.api.type.v1 import epoch_pb2

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

# Streams are local, so what has not come by now never will.
_PATIENCE_S = 10.0


def status(
    code: grpc.StatusCode,
    reason: str = "",
    message: str = "as the test wants it",
    *,
    metadata: dict[str, str] | None = None,
    details: tuple[Any, ...] = (),
) -> grpc.Status:
    """Return a rich status as Tercio's servers send it."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain="tercio.dev", metadata=metadata or {})
    packed = []
    for detail in (info, *details) if reason else details:
        box = AnyMessage()
        box.Pack(detail)
        packed.append(box)
    return rpc_status.to_status(status_pb2.Status(code=code.value[0], message=message, details=packed))


@dataclass(frozen=True)
class _End:
    with_status: grpc.Status | None


class Stream(Generic[RequestT, ResponseT]):
    """One stream that the SDK opened."""

    def __init__(self, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        self.requests: list[RequestT] = []
        self.closed_by_client = asyncio.Event()
        self._context = context
        self._changed = asyncio.Event()
        self._taken = 0
        self._responses: asyncio.Queue[ResponseT | _End] = asyncio.Queue()

    async def send(self, response: ResponseT) -> None:
        """Send one response."""
        await self._responses.put(response)

    async def request(self, wanted: Callable[[RequestT], bool] = lambda _: True) -> RequestT:
        """Return the next request for which `wanted` holds; those before it are skipped."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                while self._taken < len(self.requests):
                    request = self.requests[self._taken]
                    self._taken += 1
                    if wanted(request):
                        return request
                self._changed.clear()
                await self._changed.wait()

    def end(self, with_status: grpc.Status | None = None) -> None:
        """End the stream after what was sent, by default with OK."""
        self._responses.put_nowait(_End(with_status))

    async def serve(self, request_iterator: AsyncIterator[RequestT]) -> AsyncIterator[ResponseT]:
        """Gather requests and yield responses until the test ends the stream."""
        reading = asyncio.create_task(self._read(request_iterator))
        try:
            while not isinstance(response := await self._responses.get(), _End):
                yield response
            if response.with_status is not None:
                await self._context.abort_with_status(response.with_status)
        finally:
            reading.cancel()

    async def _read(self, request_iterator: AsyncIterator[RequestT]) -> None:
        async for request in request_iterator:
            self.requests.append(request)
            self._changed.set()
        self.closed_by_client.set()
        self.end()


class Streams(Generic[RequestT, ResponseT]):
    """The streams of one method, in the order in which they were opened."""

    def __init__(self) -> None:
        self.opened = 0
        self._new: asyncio.Queue[Stream[RequestT, ResponseT]] = asyncio.Queue()
        self._all: list[Stream[RequestT, ResponseT]] = []

    async def next(self) -> Stream[RequestT, ResponseT]:
        """Return the next stream that is opened."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self._new.get()

    async def serve(self, request_iterator: AsyncIterator[RequestT], context: Any) -> AsyncIterator[ResponseT]:
        """Serve one stream."""
        stream: Stream[RequestT, ResponseT] = Stream(context)
        self.opened += 1
        self._all.append(stream)
        self._new.put_nowait(stream)
        async for response in stream.serve(request_iterator):
            yield response

    def end_all(self) -> None:
        """End every stream."""
        for stream in self._all:
            stream.end()


class ScriptedScheduler(work_grpc.WorkServiceServicer, task_grpc.TaskServiceServicer):
    """Work, SubmitStream and a few unary calls."""

    def __init__(self) -> None:
        self.address = ""
        self.work: Streams[work_service_pb2.WorkRequest, work_service_pb2.WorkResponse] = Streams()
        self.submissions: Streams[task_service_pb2.SubmitStreamRequest, task_service_pb2.SubmitStreamResponse] = (
            Streams()
        )
        self.watches: Streams[task_service_pb2.WatchTasksRequest, task_service_pb2.WatchTasksResponse] = Streams()
        self.unary: list[tuple[Any, dict[str, Any]]] = []
        self.answers: list[Any] = []

    async def Work(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for response in self.work.serve(request_iterator, context):
            yield response

    async def SubmitStream(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for response in self.submissions.serve(request_iterator, context):
            yield response

    async def WatchTasks(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async def one() -> AsyncIterator[Any]:
            yield request
            await asyncio.Event().wait()

        async for response in self.watches.serve(one(), context):
            yield response

    async def GetTask(self, request: Any, context: Any) -> Any:
        return await self._answer(request, context)

    async def ListTasks(self, request: Any, context: Any) -> Any:
        return await self._answer(request, context)

    async def CancelTask(self, request: Any, context: Any) -> Any:
        return await self._answer(request, context)

    async def SubmitTasks(self, request: Any, context: Any) -> Any:
        return await self._answer(request, context)

    async def RetryTask(self, request: Any, context: Any) -> Any:
        return await self._answer(request, context)

    async def ExplainTask(self, request: Any, context: Any) -> Any:
        return await self._answer(request, context)

    async def _answer(self, request: Any, context: Any) -> Any:
        self.unary.append((request, dict(context.invocation_metadata())))
        answer = self.answers.pop(0)
        if isinstance(answer, grpc.Status):
            await context.abort_with_status(answer)
        return answer


class ScriptedRegistry(registry_grpc.RegistryServiceServicer):
    """Registrations are taken; heartbeats are the test's."""

    def __init__(self) -> None:
        self.registrations: list[registry_pb2.RegisterAgentRequest] = []
        self.credentials: list[registration_pb2.Credential] = []
        self.refusals: list[grpc.Status] = []
        self.deregistrations: list[registry_pb2.DeregisterAgentRequest] = []
        self.drains: list[registry_pb2.DrainAgentRequest] = []
        self.heartbeats: Streams[registry_pb2.HeartbeatRequest, registry_pb2.HeartbeatResponse] = Streams()
        self.interval_ms = 50

    async def RegisterAgent(self, request: Any, context: Any) -> Any:
        self.registrations.append(request)
        if self.refusals:
            await context.abort_with_status(self.refusals.pop(0))
        response = registry_pb2.RegisterAgentResponse()
        response.agent.agent_id = request.agent_id
        response.agent.incarnation = len(self.registrations)
        response.credentials.extend(self.credentials)
        response.heartbeat_interval.FromMilliseconds(self.interval_ms)
        response.lease_ttl.FromMilliseconds(3 * self.interval_ms)
        return response

    async def DeregisterAgent(self, request: Any, context: Any) -> Any:
        self.deregistrations.append(request)
        return registry_pb2.DeregisterAgentResponse()

    async def DrainAgent(self, request: Any, context: Any) -> Any:
        self.drains.append(request)
        return registry_pb2.DrainAgentResponse()

    async def Heartbeat(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for response in self.heartbeats.serve(request_iterator, context):
            yield response


@asynccontextmanager
async def serving(scheduler: ScriptedScheduler, registry: ScriptedRegistry | None = None) -> AsyncIterator[str]:
    """Serve on a port of this machine and yield its address."""
    server = grpc.aio.server()
    work_grpc.add_WorkServiceServicer_to_server(scheduler, server)
    task_grpc.add_TaskServiceServicer_to_server(scheduler, server)
    if registry is not None:
        registry_grpc.add_RegistryServiceServicer_to_server(registry, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    scheduler.address = f"127.0.0.1:{port}"
    try:
        yield scheduler.address
    finally:
        scheduler.work.end_all()
        scheduler.submissions.end_all()
        scheduler.watches.end_all()
        if registry is not None:
            registry.heartbeats.end_all()
        await server.stop(None)


def epoch(revision: int, *, generation: int = 1) -> epoch_pb2.Epoch:
    """Return an epoch."""
    return epoch_pb2.Epoch(generation=generation, revision=revision)


def offer(*task_ids: str, revision: int = 5, task_type: str = "t", **columns: Any) -> work_service_pb2.WorkResponse:
    """Return a response that offers the first attempt of each task."""
    return work_service_pb2.WorkResponse(
        epoch=epoch(revision),
        attempt_lease_ms=15_000,
        assignments=work_service_pb2.Assignments(
            task_ids=task_ids, numbers=[1] * len(task_ids), task_types=[task_type], **columns
        ),
    )


def named(*task_ids: str, revision: int = 5) -> work_service_pb2.AttemptColumns:
    """Return the columns of the first attempt of each task."""
    return work_service_pb2.AttemptColumns(task_ids=task_ids, numbers=[1] * len(task_ids), epochs=[epoch(revision)])

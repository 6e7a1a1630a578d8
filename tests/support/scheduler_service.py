"""A scheduler behind a real gRPC server, clients of it, and agents that do what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc

from tercio.api.scheduler.v1 import plan_service_pb2_grpc, task_pb2, task_service_pb2_grpc, work_service_pb2_grpc
from tercio.api.scheduler.v1 import task_service_pb2 as task_api
from tercio.api.scheduler.v1 import work_service_pb2 as work_api
from tercio.api.type.v1 import epoch_pb2
from tercio_common.clock import Clock
from tercio_common.composition import Ports, Service
from tercio_common.ids import SeededIds
from tercio_common.journal.store import Store
from tercio_common.peers import NO_PEERS, Peers
from tercio_common.rpc.server import start_server
from tercio_common.settings import HostSettings, ServerSettings
from tercio_common.testing.eventually import eventually
from tercio_scheduler import app
from tercio_scheduler.settings import SchedulerSettings

FIRST, SECOND = b"1" * 16, b"2" * 16
LEASE_MS = 15_000
_PATIENCE_S = 10
_SESSIONS = itertools.count(1)


@dataclass(slots=True, eq=False)
class Scheduler:
    """One replica that runs, and its clients."""

    service: Service
    clock: Any
    tasks: Any
    plans: Any
    work: Any
    port: int
    running: asyncio.Task[None]

    async def submit(self, *task_ids: str, task_type: str = "echo", payload: bytes = b"", **template: Any) -> list[str]:
        """Submit tasks of one template; return their ids."""
        spec = task_pb2.TaskTemplate(task_type=task_type, **template)
        reply: task_api.SubmitTasksResponse = await self.tasks.SubmitTasks(
            task_api.SubmitTasksRequest(
                tasks=[
                    task_pb2.TaskSpec(task_id=task_id, template=spec, payload=payload) for task_id in task_ids or [""]
                ]
            )
        )
        return list(reply.task_ids)

    async def get(self, task_id: str, **fields: Any) -> task_pb2.Task:
        reply: task_api.GetTaskResponse = await self.tasks.GetTask(task_api.GetTaskRequest(task_id=task_id, **fields))
        return reply.task

    async def state(self, task_id: str) -> str:
        return state_name((await self.get(task_id)).state)

    async def reaches(self, task_id: str, state: str) -> task_pb2.Task:
        """Wait until the task is in that state; return it."""
        found: list[task_pb2.Task] = []

        async def reached() -> bool:
            found[:] = [await self.get(task_id)]
            return state_name(found[0].state) == state

        await eventually(reached)
        return found[0]

    async def pages(self, **fields: Any) -> list[list[str]]:
        """Return the ids of every page of a list."""
        pages, token = [], ""
        while True:
            reply = await self.tasks.ListTasks(task_api.ListTasksRequest(page_token=token, **fields))
            pages.append([task.task_id for task in reply.tasks])
            assert bool(reply.cursor) == (not token)
            if not (token := reply.next_page_token):
                return pages

    @contextlib.asynccontextmanager
    async def agent(self, agent_id: str = "a", **hello: Any) -> AsyncIterator[ScriptedAgent]:
        """Open a Work stream and say hello."""
        agent = ScriptedAgent(self, agent_id, **hello)
        try:
            await agent.connect()
            yield agent
        finally:
            await agent.cut()


class Attempt(NamedTuple):
    """One attempt as it was offered."""

    task_id: str
    number: int
    epoch: tuple[int, int]
    payload: bytes = b""
    checkpoint: bytes = b""
    failures: int = 0

    @property
    def key(self) -> tuple[str, int, tuple[int, int]]:
        return self.task_id, self.number, self.epoch


class ScriptedAgent:
    """An agent that reads everything it is told and says only what a test makes it say."""

    def __init__(
        self,
        scheduler: Scheduler,
        agent_id: str,
        *,
        instance_id: bytes = FIRST,
        session_id: str = "",
        concurrency: int = 10,
        credit: int = 0,
        **hello: Any,
    ) -> None:
        self._scheduler = scheduler
        self._hello = hello
        self._credit = credit
        self.agent_id, self.instance_id, self.concurrency = agent_id, instance_id, concurrency
        self.session_id = session_id or f"session-of-agent-{next(_SESSIONS)}"
        self.frames = 0
        self.attempts: list[Attempt] = []
        self.cancelled: list[tuple[str, int, tuple[int, int]]] = []
        self.recalled: list[tuple[str, int, tuple[int, int]]] = []
        self.responses: list[work_api.WorkResponse] = []
        self.committed = 0
        self.error: grpc.aio.AioRpcError | None = None
        self._call: Any = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self, *, offered: Sequence[Attempt] = (), started: Sequence[Attempt] = ()) -> None:
        """Open a stream and say hello; the former one is left as it is."""
        call = self._call = self._scheduler.work.Work()
        before = len(self.responses)
        self._reading = asyncio.create_task(self._read(call))
        await call.write(
            work_api.WorkRequest(
                hello=work_api.Hello(
                    agent_id=self.agent_id,
                    instance_id=self.instance_id,
                    concurrency=self.concurrency,
                    session_id=self.session_id,
                    offered=columns(offered),
                    started=columns(started),
                    **self._hello,
                ),
                credit=self._credit,
            )
        )
        await eventually(lambda: len(self.responses) > before or self.error)

    async def say(self, **fields: Any) -> None:
        await self._call.write(work_api.WorkRequest(**fields))

    async def report(self, *, number: int = 0, **frame: Any) -> int:
        """Send a frame; return its number."""
        self.frames = number or self.frames + 1
        await self.say(frame_number=self.frames, frame=work_api.WorkFrame(**frame))
        return self.frames

    async def start(self, *attempts: Attempt) -> None:
        await self.settled(await self.report(started=columns(attempts)))

    async def succeed(self, *attempts: Attempt, result: bytes = b"") -> None:
        """Report success, and wait until it is durable."""
        results = [result for _ in attempts] if result else []
        await self.settled(await self.report(ended=columns(attempts), results=results))

    async def fail(self, attempt: Attempt, *, reason: str = "BROKEN", permanent: bool = False) -> None:
        failure = work_api.WorkFrame.Failure(index=0, reason=reason, message="it broke", permanent=permanent)
        outcomes = [work_api.OUTCOME_FAILED]
        await self.settled(await self.report(ended=columns([attempt]), outcomes=outcomes, failures=[failure]))

    async def end(self, attempt: Attempt, outcome: work_api.Outcome) -> None:
        await self.settled(await self.report(ended=columns([attempt]), outcomes=[outcome]))

    async def settled(self, frame: int) -> None:
        """Wait until the frame is acknowledged."""
        await eventually(lambda: self.committed >= frame or self.error)
        assert self.error is None, self.error

    async def has(self, count: int) -> list[Attempt]:
        """Wait until that many attempts have arrived in all."""
        await eventually(lambda: len(self.attempts) >= count)
        return self.attempts

    async def ended(self) -> grpc.aio.AioRpcError:
        """Wait until the scheduler ends the stream; return how."""
        await eventually(lambda: self.error)
        assert self.error is not None
        return self.error

    async def close(self) -> None:
        """Say that there is nothing more to say."""
        await self._call.done_writing()

    async def cut(self) -> None:
        """End the stream without a word."""
        if self._call is not None:
            self._call.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, call: Any) -> None:
        try:
            async for response in call:
                self._take(response)
        except grpc.aio.AioRpcError as error:
            self.error = error

    def _take(self, response: work_api.WorkResponse) -> None:
        self.responses.append(response)
        self.committed = max(self.committed, response.committed_frame_number)
        epoch = (response.epoch.generation, response.epoch.revision)
        offered = response.assignments
        extras = {extra.index: extra for extra in offered.extras}
        for index, task_id in enumerate(offered.task_ids):
            extra = extras.get(index, work_api.Assignments.Extra())
            payload = offered.payloads[index] if offered.payloads else b""
            number = offered.numbers[index]
            self.attempts.append(Attempt(task_id, number, epoch, payload, extra.checkpoint, extra.failures))
        self.cancelled += keys_of(response.cancelled)
        self.recalled += keys_of(response.recalled)


class Submitter:
    """One SubmitStream that reads everything it is told."""

    def __init__(self, scheduler: Scheduler, *, session_id: str = "session-of-a-client") -> None:
        self._call = scheduler.tasks.SubmitStream()
        self._session_id = session_id
        self.committed = 0
        self.refusals: dict[str, str] = {}
        self.results: dict[str, tuple[str, bytes]] = {}
        self.reasons: dict[str, str] = {}
        self.deliveries = 0
        self.error: grpc.aio.AioRpcError | None = None
        self.over = False
        self._reading = asyncio.create_task(self._read())

    async def send(self, number: int, *task_ids: str, **frame: Any) -> None:
        """Send a frame of tasks."""
        templates = frame.pop("templates", [task_pb2.TaskTemplate(task_type="echo")])
        await self.say(frame_number=number, frame=task_api.SubmitFrame(templates=templates, task_ids=task_ids, **frame))

    async def say(self, **fields: Any) -> None:
        await self._call.write(task_api.SubmitStreamRequest(**{"session_id": self._session_id, **fields}))

    async def settled(self, number: int) -> None:
        await eventually(lambda: self.committed >= number or self.error)
        assert self.error is None, self.error

    async def ended(self) -> grpc.aio.AioRpcError:
        await eventually(lambda: self.error)
        assert self.error is not None
        return self.error

    async def close(self) -> None:
        await self._call.done_writing()

    async def cut(self) -> None:
        self._call.cancel()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self._take(response)
            self.over = True
        except grpc.aio.AioRpcError as error:
            self.error = error

    def _take(self, response: task_api.SubmitStreamResponse) -> None:
        self.committed = max(self.committed, response.committed_frame_number)
        self.refusals.update({refusal.task_id: refusal.reason for refusal in response.refusals})
        results = response.results
        for index, task_id in enumerate(results.task_ids):
            body = results.results[index] if results.results else b""
            self.results[task_id] = (state_name(results.states[index]), body)
            self.deliveries += 1
        self.reasons.update({results.task_ids[failure.index]: failure.reason for failure in results.failures})


class Watch:
    """Reads one watch of tasks."""

    def __init__(self, scheduler: Scheduler, cursor: str = "", **task_filter: Any) -> None:
        request = task_api.WatchTasksRequest(cursor=cursor, filter=task_api.TaskFilter(**task_filter))
        self._call = scheduler.tasks.WatchTasks(request)
        self.cursor = cursor

    async def message(self) -> list[tuple[str, str]]:
        """Return the tasks and states of the next message, none for a bookmark."""
        response: Any = await asyncio.wait_for(self._call.read(), _PATIENCE_S)
        assert isinstance(response, task_api.WatchTasksResponse), response
        assert response.cursor
        self.cursor = response.cursor
        return [(task.task_id, state_name(task.state)) for task in response.tasks]

    async def standing(self) -> Watch:
        """Return itself once the server has answered."""
        assert await self.message() == []
        return self

    async def changes(self, count: int) -> list[tuple[str, str]]:
        """Return the next changes; bookmarks are passed over."""
        seen: list[tuple[str, str]] = []
        while len(seen) < count:
            seen += await self.message()
        return seen

    def cut(self) -> None:
        self._call.cancel()


def state_name(state: int) -> str:
    return task_pb2.Task.State.Name(state).removeprefix("STATE_")  # type: ignore[arg-type]


def columns(attempts: Iterable[Attempt]) -> work_api.AttemptColumns:
    """Return attempts as the stream names them."""
    listed = list(attempts)
    epochs = list(dict.fromkeys(attempt.epoch for attempt in listed))
    return work_api.AttemptColumns(
        task_ids=[attempt.task_id for attempt in listed],
        numbers=[attempt.number for attempt in listed],
        epoch_indexes=[epochs.index(attempt.epoch) for attempt in listed],
        epochs=[epoch_pb2.Epoch(generation=generation, revision=revision) for generation, revision in epochs],
    )


def keys_of(listed: work_api.AttemptColumns) -> list[tuple[str, int, tuple[int, int]]]:
    """Return attempts that the stream names."""
    epochs = [(epoch.generation, epoch.revision) for epoch in listed.epochs]
    return [
        (task_id, listed.numbers[index], epochs[listed.epoch_indexes[index] if listed.epoch_indexes else 0])
        for index, task_id in enumerate(listed.task_ids)
    ]


def peers_at(port: int) -> Peers:
    """Return the way to a registry on this machine."""
    return Peers(addresses={"registry": f"127.0.0.1:{port}"})


@contextlib.asynccontextmanager
async def running_scheduler(
    store: Store,
    *,
    clock: Clock,
    settings: SchedulerSettings | None = None,
    host_settings: HostSettings | None = None,
    peers: Peers = NO_PEERS,
) -> AsyncIterator[Scheduler]:
    """Serve one replica from the moment at which it leads."""
    service = app.build(
        Ports(
            clock=clock,
            ids=SeededIds(1),
            journal=store.journal(app.NAME),
            election=store.election(app.NAME),
            address="127.0.0.1:0",
            host_settings=host_settings or HostSettings(),
            settings=settings,
            peers=peers,
        )
    )
    server = await start_server([service], settings=ServerSettings(port=0), clock=clock)
    service.host.address = f"127.0.0.1:{server.port}"
    running = asyncio.create_task(service.host.run())
    try:
        await eventually(lambda: service.host.leading)
        async with grpc.aio.insecure_channel(service.host.address) as channel:
            yield Scheduler(
                service,
                clock,
                task_service_pb2_grpc.TaskServiceStub(channel),
                plan_service_pb2_grpc.PlanServiceStub(channel),
                work_service_pb2_grpc.WorkServiceStub(channel),
                server.port,
                running,
            )
    finally:
        await server.close(grace_ms=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

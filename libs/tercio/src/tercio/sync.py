"""The client for code that blocks.

Every client of a process shares one event loop in one background thread, because gRPC's asyncio side wants only one.
The methods are those of `tercio.Client`, with `timeout_s` where that class leaves waiting to asyncio.

    with tercio.sync.Client() as client:
        print(client.submit("resize", payload).result(timeout_s=60))
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, Unpack

from tercio import client as aio
from tercio.api.registry.v1 import agent_pb2
from tercio.api.scheduler.v1 import plan_pb2, task_pb2, task_service_pb2
from tercio.errors import ClosedError, TercioError
from tercio.handles import TaskHandle as AioTaskHandle
from tercio.payloads import decode_json
from tercio.plans import TaskSpec
from tercio.states import TaskState
from tercio.templates import TaskOptions

T = TypeVar("T")


class BackgroundLoop:
    """The event loop that all blocking clients share, while there is one."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _shared: ClassVar[BackgroundLoop | None] = None

    def __init__(self) -> None:
        self._users = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tercio-sync", daemon=True)
        self._thread.start()

    @classmethod
    def join(cls) -> BackgroundLoop:
        """Return the shared loop, begun if need be; `leave` must follow."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = BackgroundLoop()
            cls._shared._users += 1
            return cls._shared

    def leave(self) -> None:
        """End the loop if nobody else uses it."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            BackgroundLoop._shared = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float | None = None) -> T:
        """Run a coroutine in the loop and wait for it.

        Raises:
            TimeoutError: it took longer; it was cancelled.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise ClosedError("a blocking client was called from its own event loop, which would wait for itself")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except (concurrent.futures.TimeoutError, KeyboardInterrupt):
            future.cancel()
            raise


class TaskHandle:
    """One submitted task."""

    def __init__(self, handle: AioTaskHandle, loop: BackgroundLoop) -> None:
        """Hold the task of an asyncio handle."""
        self._handle = handle
        self._loop = loop

    @property
    def task_id(self) -> str:
        """The task."""
        return self._handle.task_id

    @property
    def is_accepted(self) -> bool:
        """True once the task is durable."""
        return self._handle.is_accepted

    @property
    def is_done(self) -> bool:
        """True once the task has ended, was refused, or will never be heard of again."""
        return self._handle.is_done

    @property
    def state(self) -> TaskState:
        """The terminal state; UNSPECIFIED until it is known."""
        return self._handle.state

    @property
    def error(self) -> TercioError | None:
        """Why there is no result, once that is known."""
        return self._handle.error

    def accepted(self, *, timeout_s: float | None = None) -> None:
        """Wait until the task is durable.

        Raises:
            CallError: the scheduler refused the task.
            TimeoutError: it took longer.
        """
        self._loop.run(self._handle.accepted(), timeout_s=timeout_s)

    def result(self, *, timeout_s: float | None = None) -> bytes:
        """Wait for the end of the task and return what its handler returned.

        Raises:
            TaskError: the task ended without success.
            CallError: the scheduler refused the task, or no longer knows it.
            TimeoutError: it took longer; the task goes its way.
        """
        return self._loop.run(self._handle.result(), timeout_s=timeout_s)

    def text(self, *, timeout_s: float | None = None) -> str:
        """Return the result read as UTF-8; see `result`."""
        return self.result(timeout_s=timeout_s).decode()

    def json(self, *, timeout_s: float | None = None) -> Any:
        """Return the result read as JSON, None when it is empty; see `result`."""
        return decode_json(self.result(timeout_s=timeout_s))


class Client:
    """Talks to a fleet from blocking code. May be shared by threads."""

    def __init__(self, *, address: str | None = None, timeout_s: float = 30.0, window: int = 10_000) -> None:
        """See `tercio.Client`."""
        self._client = aio.Client(address=address, timeout_s=timeout_s, window=window)
        self._loop = BackgroundLoop.join()
        self._is_open = True

    def __enter__(self) -> Self:
        """Return itself; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close; see `close`."""
        self.close()

    def close(self) -> None:
        """Close the connections. Submitted tasks go their way; handles that still wait raise ClosedError."""
        if self._is_open:
            self._is_open = False
            self._loop.run(self._client.close())
            self._loop.leave()

    def submit(
        self,
        task_type: str,
        payload: Any = None,
        *,
        task_id: str = "",
        depends_on: Sequence[str] = (),
        timeout_s: float | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskHandle:
        """Submit a task and return when it is durable; see `tercio.Client.submit`."""
        work = self._client.submit(
            task_type, payload, task_id=task_id, depends_on=depends_on, timeout_s=timeout_s, **options
        )
        return self._held(self._run(work))

    def submit_batch(self, tasks: Iterable[TaskSpec]) -> list[TaskHandle]:
        """Submit 1 to 1000 tasks, all or nothing; see `tercio.Client.submit_batch`."""
        return [self._held(handle) for handle in self._run(self._client.submit_batch(list(tasks)))]

    def handle(self, task_id: str) -> TaskHandle:
        """Return a hold on a task that is known to be submitted; see `tercio.Client.handle`."""

        async def hold() -> AioTaskHandle:
            return self._client.handle(task_id)

        return self._held(self._run(hold()))

    def map(self, task_type: str, payloads: Iterable[Any], **options: Unpack[TaskOptions]) -> Iterator[bytes]:
        """Submit a task for each payload and yield the results in the payloads' order; see `tercio.Client.map`."""
        return self._iterated(self._client.map(task_type, payloads, **options))

    def get(self, task_id: str, *, include_payload: bool = False) -> task_pb2.Task:
        """Read one task; see `tercio.Client.get`."""
        return self._run(self._client.get(task_id, include_payload=include_payload))

    def list(
        self,
        *,
        states: Iterable[TaskState] = (),
        task_type: str = "",
        plan_id: str = "",
        agent_id: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Iterator[task_pb2.Task]:
        """Yield tasks in the order of their acceptance; see `tercio.Client.list`."""
        return self._iterated(
            self._client.list(states=states, task_type=task_type, plan_id=plan_id, agent_id=agent_id, labels=labels)
        )

    def watch(
        self,
        *,
        states: Iterable[TaskState] = (),
        task_type: str = "",
        plan_id: str = "",
        cursor: str = "",
        existing: bool = False,
    ) -> Iterator[task_pb2.Task]:
        """Yield tasks whenever they change, for ever; see `tercio.Client.watch`."""
        watch = self._client.watch(
            states=states, task_type=task_type, plan_id=plan_id, cursor=cursor, existing=existing
        )
        return self._iterated(aiter(watch))

    def cancel(self, task_id: str, *, reason: str = "") -> task_pb2.Task:
        """End a task; see `tercio.Client.cancel`."""
        return self._run(self._client.cancel(task_id, reason=reason))

    def retry(self, task_id: str) -> task_pb2.Task:
        """Give a task that did not succeed a new start; see `tercio.Client.retry`."""
        return self._run(self._client.retry(task_id))

    def explain(self, task_id: str) -> task_service_pb2.ExplainTaskResponse:
        """Tell why a task stands where it stands; see `tercio.Client.explain`."""
        return self._run(self._client.explain(task_id))

    def create_plan(
        self, tasks: Iterable[TaskSpec], *, plan_id: str = "", validate_only: bool = False
    ) -> plan_pb2.Plan:
        """Submit a graph, all or nothing; see `tercio.Client.create_plan`."""
        return self._run(self._client.create_plan(tasks, plan_id=plan_id, validate_only=validate_only))

    def get_plan(self, plan_id: str) -> plan_pb2.Plan:
        """Read one plan; see `tercio.Client.get_plan`."""
        return self._run(self._client.get_plan(plan_id))

    def plans(self) -> Iterator[plan_pb2.Plan]:
        """Yield plans in the order of their ids."""
        return self._iterated(self._client.plans())

    def cancel_plan(self, plan_id: str, *, reason: str = "") -> plan_pb2.Plan:
        """Cancel every task of a plan that has not ended; see `tercio.Client.cancel_plan`."""
        return self._run(self._client.cancel_plan(plan_id, reason=reason))

    def get_agent(self, agent_id: str) -> agent_pb2.Agent:
        """Read one agent; see `tercio.Client.get_agent`."""
        return self._run(self._client.get_agent(agent_id))

    def agents(
        self,
        *,
        capabilities: Mapping[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        agent_type: str = "",
    ) -> Iterator[agent_pb2.Agent]:
        """Yield living agents in the order of their ids; see `tercio.Client.agents`."""
        return self._iterated(self._client.agents(capabilities=capabilities, labels=labels, agent_type=agent_type))

    def watch_agents(self, *, cursor: str = "", existing: bool = False) -> Iterator[agent_pb2.Agent]:
        """Yield agents whenever they change, for ever; see `tercio.Client.watch_agents`."""
        return self._iterated(aiter(self._client.watch_agents(cursor=cursor, existing=existing)))

    def cordon_agent(self, agent_id: str, *, cordoned: bool = True, reason: str = "") -> agent_pb2.Agent:
        """Stop new work for an agent, or allow it again; see `tercio.Client.cordon_agent`."""
        return self._run(self._client.cordon_agent(agent_id, cordoned=cordoned, reason=reason))

    def drain_agent(self, agent_id: str, *, reason: str = "") -> agent_pb2.Agent:
        """Ask an agent to finish its work and leave; see `tercio.Client.drain_agent`."""
        return self._run(self._client.drain_agent(agent_id, reason=reason))

    def _held(self, handle: AioTaskHandle) -> TaskHandle:
        return TaskHandle(handle, self._loop)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._is_open:
            work.close()
            raise ClosedError("the client was closed")
        return self._loop.run(work)

    def _iterated(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yield the items; an iteration that is left early is ended in the loop, where it belongs."""
        try:
            while (found := self._run(_next(items))) is not None:
                yield found[0]
        finally:
            close = getattr(items, "aclose", None)
            if close is not None and self._is_open:
                self._loop.run(close())


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    """Return the next item in a tuple, or None after the last: StopAsyncIteration does not cross threads well."""
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None

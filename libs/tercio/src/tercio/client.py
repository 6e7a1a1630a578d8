"""The caller's side: submit tasks, wait for them, look at the fleet."""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final, Self, Unpack

import grpc

from tercio.addresses import service_addresses
from tercio.agents import AgentCalls
from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceStub
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio.api.scheduler.v1 import task_service_pb2
from tercio.api.scheduler.v1.plan_service_pb2_grpc import PlanServiceStub
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio.audit import AuditCalls, AuditLog
from tercio.budgets import Budgets
from tercio.claims import Claims
from tercio.errors import ClosedError, SettingsError
from tercio.handles import TaskHandle
from tercio.payloads import checked
from tercio.plans import PlanCalls, TaskSpec
from tercio.renewals import Renewals
from tercio.requests import new_request_id
from tercio.rpc.channels import Channels, Route
from tercio.rpc.errors import FieldViolation, InvalidRequestError, UnavailableError
from tercio.rpc.remote import Remote
from tercio.submission import Submission, Submitted
from tercio.tasks import TaskCalls
from tercio.templates import TaskOptions, Templates
from tercio.worktrees import WorktreeCalls

_TASK_ID: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}")


class Client(TaskCalls, PlanCalls, AgentCalls, WorktreeCalls, AuditCalls):
    """Talks to a fleet. One a process is enough; it belongs to the event loop in which it is first used.

    Example:
        async with Client() as client:
            task = await client.submit("resize", {"width": 100}, priority=7)
            print(await task.result())
    """

    def __init__(self, *, address: str | None = None, timeout_s: float = 30.0, window: int = 10_000) -> None:
        """Describe the client; it connects when it is first used.

        Args:
            address: one for all services, or several replicas separated by commas; by default the environment says.
            timeout_s: how long `submit` waits for the task to be durable.
            window: most tasks that are on their way to a commit at once; more wait in this process.

        Raises:
            SettingsError: an argument or environment variable makes no sense.
        """
        if window < 1:
            raise SettingsError(f"the window is {window}; it must be at least 1")
        self._channels = Channels()
        scheduler = Route(self._channels, service_addresses("scheduler", address=address))
        registry = Route(self._channels, service_addresses("registry", address=address))
        self._tasks = Remote(scheduler, TaskServiceStub)
        self._plans = Remote(scheduler, PlanServiceStub)
        self._registry = Remote(registry, RegistryServiceStub)
        resources = Route(self._channels, service_addresses("resources", address=address))
        self._resources = Remote(resources, ResourceServiceStub)
        self._usage = Remote(resources, UsageServiceStub)
        self._allocation_renewals = Renewals(self._renew_allocations)
        self._budgets = Remote(resources, BudgetServiceStub)
        conflicts = Route(self._channels, service_addresses("conflicts", address=address))
        self._claims = Claims(Remote(conflicts, ClaimServiceStub))
        routes = {
            "conflicts": conflicts,
            "registry": registry,
            "resources": resources,
            "scaling": Route(self._channels, service_addresses("scaling", address=address)),
            "scheduler": scheduler,
        }
        self._audit_logs = {service: AuditLog(service, route) for service, route in routes.items()}
        self._timeout_s = timeout_s
        self._templates = Templates()
        self._submission = Submission(self._tasks, window=window)
        self._id_prefix = os.urandom(10).hex()
        self._last_id = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        """Return itself; leaving the block closes it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close; see `close`."""
        await self.close()

    async def close(self) -> None:
        """Close the connections. Submitted tasks go their way; handles that still wait raise ClosedError."""
        if not self._closed:
            self._closed = True
            await self._submission.close()
            await self._channels.close()

    async def submit(
        self,
        task_type: str,
        payload: Any = None,
        *,
        task_id: str = "",
        depends_on: Sequence[str] = (),
        timeout_s: float | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskHandle:
        """Submit a task and return when it is durable.

        Args:
            task_type: selects the handler.
            payload: `bytes` as they are, `str` as UTF-8, anything else as JSON; at most 64 kB.
            task_id: chosen by the caller, which makes a second submission harmless; by default a random one.
            depends_on: tasks that must succeed first.
            timeout_s: how long to wait; by default the client's.
            options: see `TaskOptions`.

        Raises:
            CallError: the task was refused.
            UnavailableError: nobody took the task in time. It may still be taken; submitting the same `task_id` again
                is harmless.
        """
        handle = self.enqueue(task_type, payload, task_id=task_id, depends_on=depends_on, **options)
        budget_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(budget_s):
                await handle.accepted()
        except TimeoutError:
            cause = self._submission.last_error
            raise UnavailableError(
                f"task {handle.task_id} was not acknowledged within {budget_s} s: {cause or 'no answer'}",
                code=grpc.StatusCode.UNAVAILABLE,
                reason=cause.reason if cause is not None else "",
            ) from cause
        return handle

    def enqueue(
        self,
        task_type: str,
        payload: Any = None,
        *,
        task_id: str = "",
        depends_on: Sequence[str] = (),
        **options: Unpack[TaskOptions],
    ) -> TaskHandle:
        """Submit a task without waiting: everything enqueued in one loop turn leaves together.

        It never blocks and never refuses for want of room; `await client.room()` now and then, or use `map`, when
        there are more tasks than memory. Whether the task is durable, and what became of it, the handle tells.

        Raises:
            InvalidRequestError: the task is malformed.
            ClosedError: the client was closed.
        """
        if self._closed:
            raise ClosedError("the client was closed")
        template = self._templates.get(task_type, options)
        if not task_id:
            self._last_id += 1
            task_id = f"{self._id_prefix}-{self._last_id}"
        elif (known := self._submission.known(_checked_id(task_id))) is not None:
            return known
        handle = TaskHandle(task_id)
        self._submission.add(Submitted(handle, template, checked(payload), depends_on))
        return handle

    def budgets(self, *, holder: str = "") -> Budgets:
        """Return the budgets of calls to language models, to be entered as a block; see `Budgets`."""
        return Budgets(self._budgets, holder=holder)

    @property
    def claims(self) -> Claims:
        """What this client holds of things with a name, and what it may ask about what others hold; see `Claims`."""
        return self._claims

    async def room(self) -> None:
        """Wait until fewer tasks than the window are on their way to a commit."""
        await self._submission.room()

    async def submit_batch(self, tasks: Iterable[TaskSpec]) -> list[TaskHandle]:
        """Submit 1 to 1000 tasks, all or nothing, and return when they are durable.

        Raises:
            CallError: one of the tasks, and so all, were refused; `violations` name every fault.
        """
        request = task_service_pb2.SubmitTasksRequest(
            request_id=new_request_id(), tasks=[task.message() for task in tasks]
        )
        response = await self._tasks.unary(lambda stub: stub.SubmitTasks, request)
        return [self.handle(task_id) for task_id in response.task_ids]

    def handle(self, task_id: str) -> TaskHandle:
        """Return a hold on a task that is known to be submitted, for instance by another process.

        Its result raises NotFoundError when no such task is kept.

        Raises:
            InvalidRequestError: no task can have this id.
            ClosedError: the client was closed.
        """
        if self._closed:
            raise ClosedError("the client was closed")
        known = self._submission.known(_checked_id(task_id))
        if known is not None:
            return known
        handle = TaskHandle(task_id)
        handle.note_accepted()
        self._submission.follow([handle])
        return handle

    async def map(
        self, task_type: str, payloads: Iterable[Any], *, in_flight: int = 10_000, **options: Unpack[TaskOptions]
    ) -> AsyncIterator[bytes]:
        """Submit a task for each payload and yield the results in the payloads' order.

        Args:
            task_type: selects the handler.
            payloads: taken one by one, so an endless iterator is fine.
            in_flight: most tasks whose results are awaited at once.
            options: see `TaskOptions`.

        Raises:
            TaskError: a task ended without success; those already submitted go their way.
            CallError: a task was refused.
        """
        waiting: deque[TaskHandle] = deque()
        for payload in payloads:
            if len(waiting) >= in_flight:
                yield await waiting.popleft()
            waiting.append(self.enqueue(task_type, payload, **options))
        while waiting:
            yield await waiting.popleft()


def _checked_id(task_id: str) -> str:
    if not _TASK_ID.fullmatch(task_id):
        raise InvalidRequestError(
            "the task is malformed",
            code=grpc.StatusCode.INVALID_ARGUMENT,
            reason="INVALID_ARGUMENT",
            violations=(FieldViolation("task_id", f"{task_id!r} is not 1 to 128 characters of [A-Za-z0-9._:/-]"),),
        )
    return task_id

"""Calls about tasks that were submitted already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence

import grpc

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.scheduler.v1 import task_service_pb2_grpc as task_grpc
from tercio.requests import new_request_id
from tercio.rpc.channels import FOLLOW_LEADER, Route
from tercio.rpc.remote import Remote
from tercio.states import TaskState
from tercio.watching import Change, Page, Watch, listed


class TaskCalls:
    """What a client asks about tasks. Tasks come as the contract's own `Task` message."""

    _tasks: Remote[task_grpc.TaskServiceAsyncStub]

    async def get(self, task_id: str, *, include_payload: bool = False) -> task_pb2.Task:
        """Read one task.

        Raises:
            NotFoundError: no task with this id is kept.
        """
        request = task_service_pb2.GetTaskRequest(task_id=task_id, include_payload=include_payload)
        return (await self._tasks.unary(lambda stub: stub.GetTask, request)).task

    def list(
        self,
        *,
        states: Iterable[TaskState] = (),
        task_type: str = "",
        plan_id: str = "",
        agent_id: str = "",
        labels: Mapping[str, str] | None = None,
        page_size: int = 0,
    ) -> AsyncIterator[task_pb2.Task]:
        """Yield tasks in the order of their acceptance, page by page; every filter that is given must match."""
        chosen = _filter(states, task_type, plan_id, agent_id, labels)
        return listed(_TaskSource(self._tasks, chosen, page_size=page_size).page)

    def watch(
        self,
        *,
        states: Iterable[TaskState] = (),
        task_type: str = "",
        plan_id: str = "",
        agent_id: str = "",
        labels: Mapping[str, str] | None = None,
        cursor: str = "",
        existing: bool = False,
    ) -> Watch[task_pb2.Task]:
        """Yield tasks whenever they change, from a cursor or from now on; see `Watch`.

        Args:
            states: only changes into these states.
            task_type: only this type.
            plan_id: only tasks of this plan.
            agent_id: only tasks whose present or last attempt is of this agent.
            labels: only tasks with exactly these labels.
            cursor: of an earlier watch.
            existing: without a cursor, yield first what there is already.
        """
        chosen = _filter(states, task_type, plan_id, agent_id, labels)
        return Watch(_TaskSource(self._tasks, chosen), cursor=cursor, existing=existing)

    async def cancel(self, task_id: str, *, reason: str = "") -> task_pb2.Task:
        """End a task; one that runs is CANCELLING until its agent has answered. Returns the task after the change.

        Raises:
            NotFoundError: no task with this id is kept.
            ConflictError: the task has ended.
        """
        request = task_service_pb2.CancelTaskRequest(request_id=new_request_id(), task_id=task_id, reason=reason)
        return (await self._tasks.unary(lambda stub: stub.CancelTask, request)).task

    async def retry(self, task_id: str) -> task_pb2.Task:
        """Give a task that did not succeed a new start. Returns the task after the change.

        Raises:
            NotFoundError: no task with this id is kept.
            ConflictError: the task has not ended, or has succeeded.
        """
        request = task_service_pb2.RetryTaskRequest(request_id=new_request_id(), task_id=task_id)
        return (await self._tasks.unary(lambda stub: stub.RetryTask, request)).task

    async def explain(self, task_id: str) -> task_service_pb2.ExplainTaskResponse:
        """Tell why a task stands where it stands, and what would change it.

        Raises:
            NotFoundError: no task with this id is kept.
        """
        request = task_service_pb2.ExplainTaskRequest(task_id=task_id)
        return await self._tasks.unary(lambda stub: stub.ExplainTask, request)


class _TaskSource:
    """Lists and watches tasks."""

    def __init__(
        self,
        remote: Remote[task_grpc.TaskServiceAsyncStub],
        chosen: task_service_pb2.TaskFilter,
        *,
        page_size: int = 0,
    ) -> None:
        self.route: Route = remote.route
        self._remote = remote
        self._filter = chosen
        self._page_size = page_size

    def page(self, token: str) -> Awaitable[Page[task_pb2.Task]]:
        return self._page(token)

    def watch(
        self, cursor: str
    ) -> grpc.aio.UnaryStreamCall[task_service_pb2.WatchTasksRequest, task_service_pb2.WatchTasksResponse]:
        request = task_service_pb2.WatchTasksRequest(cursor=cursor, filter=self._filter)
        return self._remote.stub().WatchTasks(request, metadata=FOLLOW_LEADER)

    def change(self, response: task_service_pb2.WatchTasksResponse) -> Change[task_pb2.Task]:
        tasks: Sequence[task_pb2.Task] = response.tasks
        return Change(tasks, response.cursor)

    async def _page(self, token: str) -> Page[task_pb2.Task]:
        request = task_service_pb2.ListTasksRequest(page_size=self._page_size, page_token=token, filter=self._filter)
        response = await self._remote.unary(lambda stub: stub.ListTasks, request)
        return Page(response.tasks, response.next_page_token, response.cursor)


def _filter(
    states: Iterable[TaskState], task_type: str, plan_id: str, agent_id: str, labels: Mapping[str, str] | None
) -> task_service_pb2.TaskFilter:
    return task_service_pb2.TaskFilter(
        states=[task_pb2.Task.State.ValueType(state) for state in states],
        task_type=task_type,
        plan_id=plan_id,
        agent_id=agent_id,
        labels=labels,
    )

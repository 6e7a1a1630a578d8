"""TaskService: thin. Streams are served by `submission` and `watching`."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import grpc

from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as pb
from tercio.api.scheduler.v1 import task_service_pb2_grpc as rpc
from tercio_common.ids import IdSource
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.calls import call_of
from tercio_scheduler import metrics
from tercio_scheduler.api.submission import Submissions
from tercio_scheduler.api.watching import Watching
from tercio_scheduler.state import commands, explain, views
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.rows import TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.translate import explanations, submissions, tasks
from tercio_scheduler.translate.bounds import MAX_REASON_TEXT, Bounds

Context = grpc.aio.ServicerContext[Any, Any]
_PAGE_BYTES: Final = 2 << 20
"""Readers take 4 MB a message unless they say otherwise; a page may be short."""


class TaskServicer(rpc.TaskServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host, *, ids: IdSource, submissions: Submissions, watching: Watching) -> None:
        self._host = host
        self._ids = ids
        self._submissions = submissions
        self._watching = watching

    async def SubmitTasks(self, request: pb.SubmitTasksRequest, context: Context) -> Any:
        command = submissions.submit_of_tasks(request, ids=self._ids)
        task_ids = command.columns.task_ids
        carried_out: list[commands.Submitted] = []

        def render(submitted: commands.Submitted) -> bytes:
            carried_out[:] = [submitted]
            return pb.SubmitTasksResponse(task_ids=task_ids).SerializeToString()

        reply = await self._host.execute(command, call=call_of(request, context), render=render)
        for submitted in (
            () if request.validate_only else carried_out
        ):  # none for a retry, which is given the same bytes
            metrics.count_submitted(accepted=len(task_ids) - submitted.known, known=submitted.known, refused=0)
        return reply

    def SubmitStream(
        self, request_iterator: AsyncIterator[pb.SubmitStreamRequest], context: Context
    ) -> AsyncIterator[pb.SubmitStreamResponse]:
        return self._submissions.serve(request_iterator, context)

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> Any:
        found = Bounds()
        task_id = tasks.task_id_of(request.task_id, found)
        found.check_text("reason", request.reason, most=MAX_REASON_TEXT)
        found.raise_if_any()
        session: SchedulerSession = self._host.session

        def render(row: TaskRow) -> bytes:
            return pb.CancelTaskResponse(task=tasks.task_message(row, progress=session.progress)).SerializeToString()

        command = commands.CancelTask(task_id=task_id, reason=request.reason)
        return await self._host.execute(command, call=call_of(request, context), render=render)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> Any:
        command = commands.RetryTask(task_id=_checked_id(request.task_id))

        def render(row: TaskRow) -> bytes:
            return pb.RetryTaskResponse(task=tasks.task_message(row, progress={})).SerializeToString()

        return await self._host.execute(command, call=call_of(request, context), render=render)

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        task_id = _checked_id(request.task_id)

        def look(machine: SchedulerMachine, session: SchedulerSession, _at: Moment) -> task_pb2.Task:
            row = views.get_task(machine.tables, task_id)
            return tasks.task_message(row, progress=session.progress, include_payload=request.include_payload)

        return pb.GetTaskResponse(task=await self._host.read(look))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        found = Bounds()
        size = tasks.page_size_of(request.page_size, found)
        chosen = tasks.filter_of(request.filter, found)
        found.raise_if_any()
        filter_sum = zlib.crc32(request.filter.SerializeToString(deterministic=True))
        after = tasks.read_page(tasks.TASK_PAGE, request.page_token, filter_sum=filter_sum)

        def look(machine: SchedulerMachine, session: SchedulerSession, at: Moment) -> pb.ListTasksResponse:
            page = views.list_tasks(machine.tables, chosen, after=tasks.number_of(after or "0"), limit=size)
            shown = _fitting(tasks.task_message(row, progress=session.progress) for row in page.rows)
            following = page.next_order
            if len(shown) < len(page.rows):
                following = page.rows[len(shown) - 1].spec.order
            token = tasks.page_token(tasks.TASK_PAGE, str(following), filter_sum=filter_sum) if following else ""
            # The state that is read has every record before the next one.
            cursor = "" if request.page_token else tasks.watch_cursor(at.seq - 1)
            return pb.ListTasksResponse(tasks=shown, next_page_token=token, cursor=cursor)

        return await self._host.read(look)

    def WatchTasks(self, request: pb.WatchTasksRequest, context: Context) -> AsyncIterator[pb.WatchTasksResponse]:
        return self._watching.serve(request)

    async def ExplainTask(self, request: pb.ExplainTaskRequest, context: Context) -> pb.ExplainTaskResponse:
        task_id = _checked_id(request.task_id)

        def look(machine: SchedulerMachine, session: SchedulerSession, at: Moment) -> pb.ExplainTaskResponse:
            explanation = explain.explain(machine.tables, session, task_id, at)
            return explanations.explanation_message(explanation, progress=session.progress)

        return await self._host.read(look)


def _checked_id(task_id: str) -> str:
    found = Bounds()
    tasks.task_id_of(task_id, found)
    found.raise_if_any()
    return task_id


def _fitting(shown: Iterable[task_pb2.Task]) -> list[task_pb2.Task]:
    """Return as many tasks as fit into a page, at least one if there is any."""
    taken: list[task_pb2.Task] = []
    room = _PAGE_BYTES
    for task in shown:
        room -= task.ByteSize()
        if room < 0 and taken:
            break
        taken.append(task)
    return taken

"""PlanService: thin."""

from __future__ import annotations

from typing import Any, cast

import grpc

from tercio.api.scheduler.v1 import plan_service_pb2 as pb
from tercio.api.scheduler.v1 import plan_service_pb2_grpc as rpc
from tercio_common.ids import IdSource
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.calls import call_of
from tercio_scheduler.state import commands, views
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.rows import PlanRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.translate import plans, submissions, tasks
from tercio_scheduler.translate.bounds import MAX_REASON_TEXT, Bounds

Context = grpc.aio.ServicerContext[Any, Any]


class PlanServicer(rpc.PlanServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host, *, ids: IdSource) -> None:
        self._host = host
        self._ids = ids

    async def CreatePlan(self, request: pb.CreatePlanRequest, context: Context) -> Any:
        command = submissions.submit_of_plan(request, ids=self._ids)

        return await self._host.execute(command, call=call_of(request, context), render=_render_created)

    async def GetPlan(self, request: pb.GetPlanRequest, context: Context) -> pb.GetPlanResponse:
        found = Bounds()
        plan_id = plans.plan_id_of(request.plan_id, found)
        found.raise_if_any()

        def look(machine: SchedulerMachine, _session: SchedulerSession, _at: Moment) -> PlanRow:
            return views.get_plan(machine.tables, plan_id)

        return pb.GetPlanResponse(plan=plans.plan_message(await self._host.read(look), with_tasks=True))

    async def ListPlans(self, request: pb.ListPlansRequest, context: Context) -> pb.ListPlansResponse:
        found = Bounds()
        size = tasks.page_size_of(request.page_size, found)
        found.raise_if_any()
        after = tasks.read_page(tasks.PLAN_PAGE, request.page_token)

        def look(machine: SchedulerMachine, _session: SchedulerSession, _at: Moment) -> views.PlanPage:
            return views.list_plans(machine.tables, after=after, limit=size)

        page = await self._host.read(look)
        token = tasks.page_token(tasks.PLAN_PAGE, page.next_id) if page.next_id else ""
        return pb.ListPlansResponse(plans=map(plans.plan_message, page.rows), next_page_token=token)

    async def CancelPlan(self, request: pb.CancelPlanRequest, context: Context) -> Any:
        found = Bounds()
        plan_id = plans.plan_id_of(request.plan_id, found)
        found.check_text("reason", request.reason, most=MAX_REASON_TEXT)
        found.raise_if_any()
        command = commands.CancelPlan(plan_id=plan_id, reason=request.reason)
        return await self._host.execute(command, call=call_of(request, context), render=_render_cancelled)


def _render_created(submitted: commands.Submitted) -> bytes:
    plan = cast(PlanRow, submitted.plan)  # a submission with a plan id is always answered with its plan
    return pb.CreatePlanResponse(plan=plans.plan_message(plan)).SerializeToString()


def _render_cancelled(row: PlanRow) -> bytes:
    return pb.CancelPlanResponse(plan=plans.plan_message(row)).SerializeToString()

"""Plans: graphs of tasks that are accepted together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tercio.api.scheduler.v1 import plan_pb2, plan_service_pb2, task_pb2
from tercio.api.scheduler.v1 import plan_service_pb2_grpc as plan_grpc
from tercio.payloads import checked
from tercio.requests import new_request_id
from tercio.rpc.remote import Remote
from tercio.templates import TaskOptions, template_of
from tercio.watching import Page, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task of a plan or a batch.

    Attributes:
        task_type: selects the handler.
        payload: encoded as results are; at most 64 kB.
        task_id: unique in the fleet; empty lets the scheduler choose.
        depends_on: ids of tasks that must succeed first: of the same request or already known.
        options: how to run it.
    """

    task_type: str
    payload: Any = None
    task_id: str = ""
    depends_on: Sequence[str] = ()
    options: TaskOptions = field(default_factory=TaskOptions)

    def message(self) -> task_pb2.TaskSpec:
        """Return the contract's message.

        Raises:
            InvalidRequestError: a field is malformed or the payload is too large.
        """
        return task_pb2.TaskSpec(
            task_id=self.task_id,
            template=template_of(self.task_type, self.options),
            payload=checked(self.payload),
            depends_on=self.depends_on,
        )


class PlanCalls:
    """What a client asks about plans. Plans come as the contract's own `Plan` message."""

    _plans: Remote[plan_grpc.PlanServiceAsyncStub]

    async def create_plan(
        self, tasks: Iterable[TaskSpec], *, plan_id: str = "", validate_only: bool = False
    ) -> plan_pb2.Plan:
        """Submit a graph, all or nothing.

        Args:
            tasks: 1 to 1000.
            plan_id: makes a second creation with the same tasks harmless; empty lets the scheduler choose.
            validate_only: check everything and change nothing.

        Raises:
            InvalidRequestError: a task is malformed or the graph has a cycle; `metadata["cycle"]` names it.
            ConflictError: the id is taken, or a parent is not known.
        """
        request = plan_service_pb2.CreatePlanRequest(
            request_id=new_request_id(),
            plan_id=plan_id,
            tasks=[task.message() for task in tasks],
            validate_only=validate_only,
        )
        return (await self._plans.unary(lambda stub: stub.CreatePlan, request)).plan

    async def get_plan(self, plan_id: str) -> plan_pb2.Plan:
        """Read one plan with the ids of its tasks.

        Raises:
            NotFoundError: no plan with this id is kept.
        """
        request = plan_service_pb2.GetPlanRequest(plan_id=plan_id)
        return (await self._plans.unary(lambda stub: stub.GetPlan, request)).plan

    def plans(self) -> AsyncIterator[plan_pb2.Plan]:
        """Yield plans in the order of their ids."""
        return listed(self._plan_page)

    async def cancel_plan(self, plan_id: str, *, reason: str = "") -> plan_pb2.Plan:
        """Cancel every task of a plan that has not ended.

        Raises:
            NotFoundError: no plan with this id is kept.
        """
        request = plan_service_pb2.CancelPlanRequest(request_id=new_request_id(), plan_id=plan_id, reason=reason)
        return (await self._plans.unary(lambda stub: stub.CancelPlan, request)).plan

    async def _plan_page(self, token: str) -> Page[plan_pb2.Plan]:
        request = plan_service_pb2.ListPlansRequest(page_token=token)
        response = await self._plans.unary(lambda stub: stub.ListPlans, request)
        return Page(response.plans, response.next_page_token, "")

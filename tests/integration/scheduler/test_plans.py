"""PlanService."""

from __future__ import annotations

import grpc
import pytest

from support.registry import reason_of
from support.scheduler_service import Scheduler
from tercio.api.scheduler.v1 import plan_pb2, task_pb2
from tercio.api.scheduler.v1 import plan_service_pb2 as api

DIAMOND = (("top", ()), ("left", ("top",)), ("right", ("top",)), ("bottom", ("left", "right")))


def request_of(plan_id: str, tasks: tuple[tuple[str, tuple[str, ...]], ...] = DIAMOND) -> api.CreatePlanRequest:
    return api.CreatePlanRequest(
        plan_id=plan_id,
        tasks=[
            task_pb2.TaskSpec(
                task_id=f"{plan_id}/{task_id}",
                template={"task_type": "echo"},
                depends_on=[f"{plan_id}/{one}" for one in parents],
            )
            for task_id, parents in tasks
        ],
    )


async def get(scheduler: Scheduler, plan_id: str) -> plan_pb2.Plan:
    plan: plan_pb2.Plan = (await scheduler.plans.GetPlan(api.GetPlanRequest(plan_id=plan_id))).plan
    return plan


async def test_a_plan_runs_in_the_order_of_its_dependencies(scheduler: Scheduler) -> None:
    created = (await scheduler.plans.CreatePlan(request_of("p"))).plan
    assert (created.state, created.task_count) == (plan_pb2.Plan.STATE_RUNNING, 4)
    async with scheduler.agent() as agent:
        for done, count in ((0, 1), (1, 3), (3, 4)):
            await agent.has(count)
            await agent.succeed(*agent.attempts[done:])
        offered = [attempt.task_id for attempt in agent.attempts]
        assert offered in (["p/top", "p/left", "p/right", "p/bottom"], ["p/top", "p/right", "p/left", "p/bottom"])
    plan = await get(scheduler, "p")
    assert (plan.state, plan.succeeded_count) == (plan_pb2.Plan.STATE_SUCCEEDED, 4)
    assert list(plan.task_ids) == ["p/top", "p/left", "p/right", "p/bottom"]
    assert plan.HasField("end_time")


async def test_a_plan_fails_with_its_dead_letters(scheduler: Scheduler) -> None:
    await scheduler.plans.CreatePlan(request_of("p"))
    async with scheduler.agent() as agent:
        await agent.fail((await agent.has(1))[0], permanent=True)
        task = await scheduler.reaches("p/bottom", "FAILED")
        assert task.state_reason
    plan = await get(scheduler, "p")
    assert (plan.state, plan.failed_count) == (plan_pb2.Plan.STATE_FAILED, 4)


async def test_cancelling_a_plan_ends_its_tasks(scheduler: Scheduler) -> None:
    await scheduler.plans.CreatePlan(request_of("p"))
    await scheduler.plans.CancelPlan(api.CancelPlanRequest(plan_id="p", reason="changed my mind"))
    for task_id in ("p/top", "p/left", "p/right", "p/bottom"):
        await scheduler.reaches(task_id, "CANCELLED")
    assert (await get(scheduler, "p")).state == plan_pb2.Plan.STATE_FAILED


async def test_plans_are_listed_by_id_page_by_page(scheduler: Scheduler) -> None:
    for plan_id in ("c", "a", "b"):
        await scheduler.plans.CreatePlan(request_of(plan_id))
    first = await scheduler.plans.ListPlans(api.ListPlansRequest(page_size=2))
    assert [plan.plan_id for plan in first.plans] == ["a", "b"]
    assert not first.plans[0].task_ids
    rest = await scheduler.plans.ListPlans(api.ListPlansRequest(page_size=2, page_token=first.next_page_token))
    assert ([plan.plan_id for plan in rest.plans], rest.next_page_token) == (["c"], "")


async def test_the_scheduler_chooses_a_plans_id(scheduler: Scheduler) -> None:
    created = (
        await scheduler.plans.CreatePlan(
            api.CreatePlanRequest(tasks=[task_pb2.TaskSpec(template={"task_type": "echo"})])
        )
    ).plan
    assert (await get(scheduler, created.plan_id)).task_count == 1


async def test_a_checked_plan_is_not_kept(scheduler: Scheduler) -> None:
    request = request_of("p")
    request.validate_only = True
    assert (await scheduler.plans.CreatePlan(request)).plan.plan_id == "p"
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await get(scheduler, "p")
    assert reason_of(missing.value) == "PLAN_NOT_FOUND"


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        pytest.param((("a", ("b",)), ("b", ("a",))), "DEPENDENCY_CYCLE", id="cycle"),
        pytest.param((("a", ("nobody",)),), "DEPENDENCY_UNKNOWN", id="unknown parent"),
        pytest.param((("top", ()),), "PLAN_ID_REUSED", id="other content"),
    ],
)
async def test_a_plan_is_refused_as_a_whole(
    scheduler: Scheduler, tasks: tuple[tuple[str, tuple[str, ...]], ...], reason: str
) -> None:
    await scheduler.plans.CreatePlan(request_of("p"))
    request = request_of("p" if reason == "PLAN_ID_REUSED" else "q", tasks)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await scheduler.plans.CreatePlan(request)
    assert reason_of(refused.value) == reason
    assert [len(page) for page in await scheduler.pages()] == [4]

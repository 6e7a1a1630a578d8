"""What tasks cost, and what becomes of them at a limit, with both services behind real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from support.resources import Resources, running_resources
from support.scheduler_service import Scheduler, running_scheduler
from tercio.api.resources.v1 import cost_service_pb2 as pb
from tercio.api.resources.v1 import resource_service_pb2 as resources_pb
from tercio.api.resources.v1.cost_pb2 import Cost, Price
from tercio.api.resources.v1.cost_service_pb2_grpc import CostServiceStub
from tercio.api.scheduler.v1 import task_service_pb2 as task_api
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.peers import Peers
from tercio_common.testing.eventually import eventually

_A_LOT = 10**9
"""Millionths for a millicore and hour: what holds a few of them costs something within a millisecond."""


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=SystemClock())


@pytest.fixture
async def resources(store: MemoryStore) -> AsyncIterator[Resources]:
    async with running_resources(store, clock=SystemClock()) as running:
        yield running


@pytest.fixture
async def costs(resources: Resources) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel:
        stub: Any = CostServiceStub(channel)
        price = Price(dimension="cpu", micros_per_unit_hour=_A_LOT)
        await stub.SetPrice(pb.SetPriceRequest(request_id="price", price=price))
        yield stub


@pytest.fixture
async def scheduler(store: MemoryStore, resources: Resources, costs: Any) -> AsyncIterator[Scheduler]:
    peers = Peers(addresses={"resources": f"127.0.0.1:{resources.port}"})
    async with running_scheduler(store, clock=SystemClock(), peers=peers) as running:
        yield running


async def _cost(costs: Any, payer: Cost.Payer.ValueType) -> dict[str, int]:
    reply = await costs.GetCosts(pb.GetCostsRequest(payer=payer))
    return {each.name: each.micros for each in reply.costs}


async def _explained(scheduler: Scheduler, task_id: str) -> task_api.ExplainTaskResponse:
    reply: task_api.ExplainTaskResponse = await scheduler.tasks.ExplainTask(
        task_api.ExplainTaskRequest(task_id=task_id)
    )
    return reply


async def test_a_task_is_charged_to_its_agent_tenant_and_attempt(
    scheduler: Scheduler, resources: Resources, costs: Any
) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("t", resources={"cpu": 300}, tenant="team")
        (attempt,) = await agent.has(1)
        await agent.succeed(attempt)

        async def ended() -> bool:
            history = await resources.stub.ListAllocationHistory(resources_pb.ListAllocationHistoryRequest())
            return bool(history.allocations)

        await eventually(ended)
    history = await resources.stub.ListAllocationHistory(resources_pb.ListAllocationHistoryRequest())
    (past,) = history.allocations
    assert (past.agent_id, past.tenant, past.task_type) == ("a", "team", "echo")
    assert past.micros > 0
    assert await _cost(costs, Cost.PAYER_AGENT) == {"a": past.micros}
    assert await _cost(costs, Cost.PAYER_TENANT) == {"team": past.micros}
    assert await _cost(costs, Cost.PAYER_OWNER) == {past.owner: past.micros}


@pytest.mark.parametrize("count", [pytest.param(1, id="one task"), pytest.param(3, id="a batch")])
async def test_at_a_cost_limit_tasks_wait_say_so_cause_no_commits_and_run_when_it_is_raised(
    scheduler: Scheduler, resources: Resources, costs: Any, count: int
) -> None:
    limit = {"payer": Cost.PAYER_TENANT, "name": "team"}
    async with scheduler.agent() as agent:
        await scheduler.submit("first", resources={"cpu": 100}, tenant="team")
        (attempt,) = await agent.has(1)
        await agent.succeed(attempt)
        await costs.SetCostLimit(pb.SetCostLimitRequest(request_id="l", limit_micros=1, **limit))
        task_ids = [f"t{number}" for number in range(count)]
        await scheduler.submit(*task_ids, resources={"cpu": 100}, tenant="team")

        async def told() -> bool:
            return "cost limit" in (await _explained(scheduler, task_ids[-1])).summary

        await eventually(told)
        explained = await _explained(scheduler, task_ids[0])
        (gap,) = explained.missing_resources
        assert (gap.dimension, gap.bound, gap.most, gap.required > 1) == ("cost", "tenant", 1, True)
        assert "tercio costs limit" in explained.remedies[0]
        tried = scheduler.service.host.machine.tables.tasks[task_ids[0]].number
        for _ in range(5):  # what others take and give back is no reason to ask again
            numbers = await resources.allocate("other")
            await resources.release(*numbers)
        await scheduler.submit("other", resources={"cpu": 100})
        await agent.has(2)
        assert scheduler.service.host.machine.tables.tasks[task_ids[0]].number == tried
        await costs.SetCostLimit(pb.SetCostLimitRequest(request_id="m", limit_micros=10**18, **limit))
        await agent.has(2 + count)

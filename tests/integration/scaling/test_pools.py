"""Agent pools and budgets through real gRPC, and their watch."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.registry import fields_of, reason_of
from support.scaling import AgentPool, Scaling, running_scaling, seen
from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock
from tercio_scaling.settings import ScalingSettings


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def read(watch: Any) -> Any:
    message = await asyncio.wait_for(watch.read(), 10)
    assert message is not grpc.aio.EOF
    return message


def delete(scaling: Scaling, pool_id: str = "p", **fields: Any) -> Any:
    request = pb.DeletePoolRequest(request_id=scaling.request_id(), pool_id=pool_id, **fields)
    return scaling.stub.DeletePool(request)


def condition(pool: agent_pool_pb2.AgentPool, kind: str) -> bool:
    (found,) = [each for each in pool.status.conditions if each.type == kind]
    return found.holds


async def test_a_pool_has_its_defaults_and_begins_with_its_least(scaling: Scaling) -> None:
    pool = await scaling.apply()
    assert (pool.min_agents, pool.max_agents, pool.slots, pool.up_step, pool.down_step) == (2, 10, 1, 1, 1)
    assert (pool.up_threshold, pool.down_threshold, pool.cooldown.seconds) == (0.8, 0.3, 300)
    assert (pool.startup_timeout.seconds, pool.drain_limit.seconds) == (60, 300)
    assert len(pool.triggers) == 6
    assert pool.status.desired_count == 2
    assert not condition(pool, "Observed")
    assert (await scaling.get()).etag == pool.etag


@pytest.mark.parametrize(
    "driver",
    [
        {"local": AgentPool.Local(command=["run", "{agent_id}"], environment={"A": "b"}, directory="/tmp")},
        {"deployment": AgentPool.Deployment(namespace="fleet", name="agents")},
        {"pods": AgentPool.Pods(namespace="fleet", template_json='{"spec":{"containers":[]}}')},
        {"added": AgentPool.Added(name="nomad", spec_json='{"job":"agents"}')},
        {"external": AgentPool.External()},
    ],
    ids=lambda driver: next(iter(driver)),
)
async def test_a_driver_is_shown_as_it_was_declared(scaling: Scaling, driver: dict[str, Any]) -> None:
    pool = await scaling.apply(**driver)
    ((name, declared),) = driver.items()
    assert pool.WhichOneof("driver") == name
    assert getattr(pool, name) == declared


async def test_every_violation_of_a_pool_is_reported(scaling: Scaling) -> None:
    pool = AgentPool(
        pool_id="a b",
        min_agents=5,
        max_agents=4,
        up_threshold=0.2,
        triggers=["weather"],
        cooldown=Duration(seconds=-1),
        etag="x",
        pods=AgentPool.Pods(namespace="A", template_json="["),
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scaling.stub.ApplyPool(pb.ApplyPoolRequest(pool=pool))
    assert fields_of(caught.value) == [
        "pool.pool_id",
        "pool.triggers[0]",
        "pool.pods.namespace",
        "pool.pods.template_json",
        "pool.pods.template_json",
        "pool.down_threshold",
        "pool.max_agents",
        "pool.cooldown",
        "pool.etag",
    ]


async def test_an_etag_keeps_one_from_replacing_what_somebody_else_declared(scaling: Scaling) -> None:
    first = await scaling.apply(max_agents=4)
    second = await scaling.apply(max_agents=5, etag=first.etag)
    assert await refused(scaling.apply(max_agents=6, etag=first.etag)) == "POOL_CHANGED"
    assert (await scaling.apply(max_agents=5)).etag == second.etag
    assert await refused(delete(scaling, etag=first.etag)) == "POOL_CHANGED"
    await delete(scaling, etag=second.etag)
    assert await refused(scaling.get()) == "POOL_NOT_FOUND"


async def test_a_number_follows_its_bounds_and_a_new_target(scaling: Scaling) -> None:
    assert (await scaling.apply(target_agents=4)).status.desired_count == 4
    assert (await scaling.apply(target_agents=4, max_agents=3)).status.desired_count == 3
    assert (await scaling.apply(target_agents=7)).status.desired_count == 7
    assert (await scaling.apply(target_agents=7, min_agents=8)).status.desired_count == 8
    rules = [each.rule for each in await scaling.events("kind = SCALED_UP OR kind = SCALED_DOWN")]
    assert rules == ["minimum", "target", "maximum", "target"]


async def test_pools_are_listed_by_expression_and_page(scaling: Scaling) -> None:
    await scaling.apply("a", labels={"zone": "x"})
    await scaling.apply("b", paused=True)
    reply = await scaling.stub.ListPools(pb.ListPoolsRequest(expression='labels.zone = "x" AND paused = false'))
    assert [pool.pool_id for pool in reply.pools] == ["a"]
    first = await scaling.stub.ListPools(pb.ListPoolsRequest(page_size=1))
    second = await scaling.stub.ListPools(pb.ListPoolsRequest(page_size=1, page_token=first.next_page_token))
    assert [pool.pool_id for pool in (*first.pools, *second.pools)] == ["a", "b"]
    assert await refused(scaling.stub.ListPools(pb.ListPoolsRequest(page_token="x"))) == "CURSOR_INVALID"


async def test_a_watch_shows_every_pool_and_then_what_changes(scaling: Scaling) -> None:
    await scaling.apply("a")
    watch = scaling.stub.WatchPools(pb.WatchPoolsRequest())
    assert [pool.pool_id for pool in (await read(watch)).pools] == ["a"]
    await scaling.apply("b")
    assert [pool.pool_id for pool in (await read(watch)).pools] == ["b"]
    await scaling.see(seen("b", "b-1"))
    assert [(pool.pool_id, pool.status.ready_count) for pool in (await read(watch)).pools] == [("b", 1)]
    await delete(scaling, "a")
    assert list((await read(watch)).deleted_pool_ids) == ["a"]
    watch.cancel()


async def test_what_is_seen_is_shown_until_it_is_stale(scaling: Scaling, clock: ManualClock) -> None:
    await scaling.apply()
    await scaling.see(seen("p", "p-1", "p-2", waiting=0))
    pool = await scaling.get()
    assert condition(pool, "Observed")
    assert (pool.status.ready_count, pool.status.observation.ready_count) == (2, 2)
    await clock.advance(31_000)
    assert not condition(await scaling.get(), "Observed")


async def test_a_pool_with_a_driver_is_deleted_once_its_agents_have_left(scaling: Scaling) -> None:
    await scaling.apply(local=AgentPool.Local(command=["x"]))
    await delete(scaling)
    pool = await scaling.get()
    assert pool.status.deleting
    assert pool.status.desired_count == 0
    assert await refused(scaling.apply(local=AgentPool.Local(command=["y"]))) == "POOL_DELETING"
    await scaling.see(seen("p", "p-1"))
    (victim,) = (await scaling.get()).status.victims
    assert victim.agent_id == "p-1"
    await scaling.see(seen("p"))
    assert await refused(scaling.get()) == "POOL_NOT_FOUND"


async def test_agents_may_be_kept(scaling: Scaling) -> None:
    await scaling.apply(local=AgentPool.Local(command=["x"]))
    await delete(scaling, keep_agents=True)
    assert await refused(delete(scaling)) == "POOL_NOT_FOUND"


async def test_a_budget_bounds_what_its_pools_have_together(scaling: Scaling) -> None:
    assert await refused(scaling.apply(budget_id="night")) == "BUDGET_NOT_FOUND"
    budget = agent_pool_pb2.Budget(budget_id="night", max_agents=5)
    await scaling.stub.ApplyBudget(pb.ApplyBudgetRequest(request_id="b", budget=budget))
    await scaling.apply("a", budget_id="night", up_step=10)
    await scaling.apply("b", budget_id="night", up_step=10)
    await scaling.see(seen("a", "a-1", "a-2", waiting=20))
    pool = await scaling.get("a")
    assert pool.status.desired_count == 3
    await scaling.see(seen("b", "b-1", "b-2", waiting=20))
    assert (await scaling.get("b")).status.desired_count == 2
    assert condition(await scaling.get("b"), "Limited")
    (shown,) = (await scaling.stub.ListBudgets(pb.ListBudgetsRequest())).budgets
    assert (shown.agent_count, list(shown.pool_ids)) == (5, ["a", "b"])
    request = pb.DeleteBudgetRequest(request_id="d", budget_id="night")
    assert await refused(scaling.stub.DeleteBudget(request)) == "BUDGET_IN_USE"
    await scaling.apply("a")
    await scaling.apply("b")
    await scaling.stub.DeleteBudget(pb.DeleteBudgetRequest(request_id="d2", budget_id="night"))
    gone = pb.DeleteBudgetRequest(request_id="d3", budget_id="night")
    assert await refused(scaling.stub.DeleteBudget(gone)) == "BUDGET_NOT_FOUND"


async def test_no_more_pools_and_budgets_are_kept_than_the_settings_say(store: MemoryStore, clock: ManualClock) -> None:
    async with running_scaling(store, clock=clock, settings=ScalingSettings(max_pools=1)) as scaling:
        await scaling.apply("a")
        assert await refused(scaling.apply("b")) == "QUEUE_FULL"
        for name, expected in (("x", ""), ("y", "QUEUE_FULL")):
            budget = agent_pool_pb2.Budget(budget_id=name)
            call = scaling.stub.ApplyBudget(pb.ApplyBudgetRequest(request_id=name, budget=budget))
            assert (await refused(call) if expected else (await call) and "") == expected


async def test_only_operators_change_pools(store: MemoryStore, clock: ManualClock) -> None:
    settings = ScalingSettings(operator_principals=("somebody-else",))
    async with running_scaling(store, clock=clock, settings=settings) as scaling:
        assert await refused(scaling.apply()) == "PERMISSION_DENIED"


async def test_mutations_are_audited(scaling: Scaling) -> None:
    from tercio.api.scaling.v1 import audit_service_pb2
    from tercio.api.scaling.v1.audit_service_pb2_grpc import AuditServiceStub

    await scaling.apply()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{scaling.port}") as channel:
        stub: Any = AuditServiceStub(channel)
        reply = await stub.ListAuditEvents(audit_service_pb2.ListAuditEventsRequest())
    (event,) = reply.events
    assert event.method.endswith("ApplyPool")
    assert "PoolApplied" in event.changes
    assert list(event.resources) == ["pools/p"]

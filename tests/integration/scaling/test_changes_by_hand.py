"""Numbers and surges by hand, dry runs and several pools at once, through real gRPC."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.registry import fields_of, info_of, reason_of
from support.scaling import AgentPool, Scaling, seen
from tercio.api.scaling.v1 import agent_pool_pb2, scaling_event_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock

Kind = scaling_event_pb2.ScalingEvent.Kind
Target = pb.CoordinateScalingRequest.Target
LOCAL = AgentPool.Local(command=["x"])


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def surge(scaling: Scaling, **fields: Any) -> agent_pool_pb2.AgentPool.Status:
    given = {"pool_id": "p", "reason": "incident", "duration": Duration(seconds=60), **fields}
    reply = await scaling.stub.SurgePool(pb.SurgePoolRequest(request_id=scaling.request_id(), **given))
    status: agent_pool_pb2.AgentPool.Status = reply.pool.status
    return status


async def test_a_number_by_hand_answers_who_leaves(scaling: Scaling) -> None:
    await scaling.apply(local=LOCAL, min_agents=0, target_agents=3)
    await scaling.see(seen("p", "p-1", "p-2", "p-3", asked=3))
    reply = await scaling.scale(1)
    assert sorted(reply.agent_ids) == ["p-1", "p-2"] or len(reply.agent_ids) == 2
    assert (reply.event.rule, reply.event.reason, reply.event.principal) == ("manual", "by hand", "local")
    assert sorted(reply.event.impact.victim_agent_ids) == sorted(reply.agent_ids)
    assert not (await scaling.scale(1)).HasField("event")


async def test_who_waits_for_a_number_by_hand_is_told_who_came(scaling: Scaling, clock: ManualClock) -> None:
    await scaling.apply(min_agents=1)
    await scaling.see(seen("p", "p-1"))
    call = asyncio.create_task(scaling.scale(3, wait_timeout=Duration(seconds=600)))
    await eventually(lambda: scaling.service.host.machine.tables.states["p"].decided == 3)
    await clock.advance(1_000)
    await scaling.see(seen("p", "p-1", "p-2"))
    assert not call.done()
    await scaling.see(seen("p", "p-1", "p-2", "p-3"))
    reply = await call
    assert list(reply.agent_ids) == ["p-2", "p-3"]
    assert reply.event.outcome == scaling_event_pb2.ScalingEvent.OUTCOME_DONE
    assert [phase.name for phase in reply.event.phases] == ["drive", "start"]


async def test_who_waits_too_long_is_told_how_it_is(scaling: Scaling, clock: ManualClock) -> None:
    await scaling.apply(min_agents=1)
    call = asyncio.create_task(scaling.scale(3, wait_timeout=Duration(seconds=5)))
    await eventually(lambda: scaling.service.host.machine.tables.states["p"].decided == 3)
    while not call.done():
        await clock.advance(1_000)
    assert (await call).event.outcome == scaling_event_pb2.ScalingEvent.OUTCOME_PENDING


async def test_a_number_beyond_the_bounds_is_refused_with_the_limit(scaling: Scaling) -> None:
    await scaling.apply(min_agents=2, max_agents=4, agent_cost_micros_per_hour=10, cost_limit_micros_per_hour=30)
    for agents, limit, allowed in ((1, "minimum", "2"), (5, "cost", "3")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scaling.scale(agents)
        assert reason_of(caught.value) == "SCALING_LIMIT_REACHED"
        assert dict(info_of(caught.value).metadata) == {"limit": limit, "agents": allowed}


async def test_triggers_change_nothing_while_a_number_by_hand_holds(scaling: Scaling, clock: ManualClock) -> None:
    await scaling.apply(min_agents=1)
    await scaling.scale(2, hold=Duration(seconds=60))
    await scaling.see(seen("p", "p-1", "p-2", waiting=50))
    pool = await scaling.get()
    assert pool.status.desired_count == 2
    assert pool.status.HasField("hold_until")
    await clock.advance(61_000)
    await scaling.see(seen("p", "p-1", "p-2", waiting=50))
    assert (await scaling.get()).status.desired_count == 3


async def test_what_is_asked_by_hand_is_checked(scaling: Scaling) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scaling.stub.ScalePool(pb.ScalePoolRequest(pool_id="a b"))
    assert fields_of(caught.value) == ["pool_id", "number", "reason"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scaling.stub.CoordinateScaling(pb.CoordinateScalingRequest(reason="x"))
    assert fields_of(caught.value) == ["targets"]
    assert await refused(scaling.scale(1, "nobody")) == "POOL_NOT_FOUND"
    await scaling.apply(local=LOCAL)
    await scaling.stub.DeletePool(pb.DeletePoolRequest(request_id="d", pool_id="p"))
    assert await refused(scaling.scale(3)) == "POOL_DELETING"


async def test_a_surge_raises_bounds_until_its_time_is_over(scaling: Scaling, clock: ManualClock) -> None:
    await scaling.apply(min_agents=1, max_agents=2, agent_cost_micros_per_hour=10, cost_limit_micros_per_hour=20)
    await scaling.see(seen("p", "p-1", waiting=50))
    await scaling.see(seen("p", "p-1", "p-2", waiting=50))
    status = await surge(scaling, max_agents=6)
    assert (status.surge.max_agents, status.surge.principal, status.surge.reason) == (6, "local", "incident")
    await scaling.see(seen("p", "p-1", "p-2", waiting=50))
    assert (await scaling.get()).status.desired_count == 6
    await clock.advance(61_000)
    await eventually(lambda: scaling.service.host.machine.tables.states["p"].surge is None)
    await scaling.see(seen("p", *(f"p-{number}" for number in range(6)), waiting=50))
    assert (await scaling.get()).status.desired_count == 2
    kinds = [event.kind for event in await scaling.events("kind = SURGE_BEGAN OR kind = SURGE_ENDED")]
    assert kinds == [Kind.KIND_SURGE_ENDED, Kind.KIND_SURGE_BEGAN]


async def test_a_surge_may_be_ended_by_hand(scaling: Scaling) -> None:
    await scaling.apply()
    await surge(scaling)
    for _ in range(2):
        reply = await scaling.stub.EndSurge(pb.EndSurgeRequest(request_id=scaling.request_id(), pool_id="p"))
        assert not reply.pool.status.HasField("surge")
    assert len(await scaling.events("kind = SURGE_ENDED")) == 1
    assert await refused(scaling.stub.EndSurge(pb.EndSurgeRequest(pool_id="nobody"))) == "POOL_NOT_FOUND"


async def test_a_dry_run_tells_what_would_be_decided_and_changes_nothing(scaling: Scaling) -> None:
    await scaling.apply(min_agents=1)
    request = pb.EvaluatePoolRequest(pool_id="p")
    assert await refused(scaling.stub.EvaluatePool(request)) == "POOL_NOT_OBSERVED"
    host = scaling.service.host
    host.session.keep((seen("p", "p-1", waiting=9),), host.moment().now)
    before = host.tip_seq
    reply = await scaling.stub.EvaluatePool(request)
    assert reply.changes
    assert (reply.event.before_count, reply.event.after_count, reply.event.wanted_count) == (1, 2, 9)
    assert [each.name for each in reply.event.limits] == ["step"]
    assert host.tip_seq == before
    assert (await scaling.get()).status.desired_count == 1


async def test_a_dry_run_may_be_given_what_is_to_be_taken_as_seen(scaling: Scaling) -> None:
    await scaling.apply(min_agents=1, up_step=9)
    idle = agent_pool_pb2.Observation(ready_count=4, running_count=4, waiting_count=3)
    reply = await scaling.stub.EvaluatePool(pb.EvaluatePoolRequest(pool_id="p", observation=idle))
    assert (reply.event.before_count, reply.event.after_count, reply.event.rule) == (4, 7, "queue_depth")
    full = agent_pool_pb2.Observation(ready_count=10, running_count=10, waiting_count=3)
    reply = await scaling.stub.EvaluatePool(pb.EvaluatePoolRequest(pool_id="p", observation=full))
    assert (reply.changes, reply.event.kind) == (False, Kind.KIND_REFUSED)
    same = agent_pool_pb2.Observation(ready_count=4, running_count=3)
    reply = await scaling.stub.EvaluatePool(pb.EvaluatePoolRequest(pool_id="p", observation=same))
    assert reply.event.kind == Kind.KIND_UNCHANGED


def coordinating(scaling: Scaling, *targets: Any, **fields: Any) -> Any:
    request = pb.CoordinateScalingRequest(
        request_id=scaling.request_id(), targets=targets, **{"reason": "release", **fields}
    )
    return scaling.stub.CoordinateScaling(request)


async def test_several_pools_are_scaled_at_once_within_what_they_share(scaling: Scaling) -> None:
    budget = agent_pool_pb2.Budget(budget_id="night", max_agents=12)
    await scaling.stub.ApplyBudget(pb.ApplyBudgetRequest(request_id="b", budget=budget))
    for name, priority in (("a", 0), ("b", 0), ("c", 5), ("d", 0)):
        await scaling.apply(name, budget_id="night", min_agents=1, target_agents=2, priority=priority)
    asked = [Target(pool_id=name, agents=agents) for name, agents in (("a", 9), ("b", 9), ("c", 4), ("d", 1))]
    tried = await coordinating(scaling, *asked, dry_run=True)
    assert tried.scaling_execution.dry_run
    assert not tried.scaling_id
    reply = await coordinating(scaling, *asked)
    assert [each.pool_id for each in reply.scaling_analysis.requirements] == ["a", "b", "c", "d"]
    assert reply.scaling_strategy.name == "priority"
    after = {each.pool_id: each.after_count for each in reply.scaling_strategy.steps}
    assert after == {"d": 1, "c": 4, "a": 4, "b": 3}
    assert [each.pool_id for each in reply.scaling_strategy.steps] == ["d", "c", "a", "b"]
    assert reply.scaling_strategy == tried.scaling_strategy
    (shared,) = reply.impact_assessment.budgets
    assert (shared.agents_before, shared.agents_after) == (8, 12)
    assert {event.scaling_id for event in reply.scaling_execution.events} == {reply.scaling_id}
    assert not reply.scaling_validation.reached
    assert [phase.name for phase in reply.phase_times] == ["execute", "validate"]
    assert reply.HasField("scaling_duration")
    for name, agents in after.items():
        assert (await scaling.get(name)).status.desired_count == agents


async def test_a_coordinated_scaling_asks_triggers_and_waits_until_it_is_carried_out(scaling: Scaling) -> None:
    await scaling.apply("a", min_agents=1)
    await scaling.apply("b", min_agents=1)
    host = scaling.service.host
    host.session.keep((seen("a", "a-1", waiting=2),), host.moment().now)
    targets = (Target(pool_id="a"), Target(pool_id="b"))
    call = asyncio.ensure_future(coordinating(scaling, *targets, wait_timeout=Duration(seconds=600)))
    await eventually(lambda: host.machine.tables.states["a"].decided == 2)
    await scaling.see(seen("a", "a-1", "a-2"))
    await scaling.see(seen("b", "b-1"))
    reply = await call
    assert reply.scaling_strategy.name == "all"
    assert {each.pool_id: each.observed for each in reply.scaling_analysis.requirements} == {"a": True, "b": False}
    assert [event.pool_id for event in reply.scaling_execution.events] == ["a"]
    assert reply.scaling_validation.results[-1].reached


async def test_a_trigger_that_fails_is_told_and_nothing_is_decided(scaling: Scaling) -> None:
    def broken(_pool: Any, _seen: Any) -> None:
        raise RuntimeError("no weather today")

    await scaling.apply("a")
    host = scaling.service.host
    host.session.keep((seen("a", "a-1", waiting=2),), host.moment().now)
    object.__setattr__(host.machine.rules, "triggers", dict.fromkeys(host.machine.rules.triggers, broken))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await coordinating(scaling, Target(pool_id="a"))
    assert reason_of(caught.value) == "SCALING_COORDINATION_EXCEPTION"
    assert dict(info_of(caught.value).metadata) == {"phase": "analyze"}
    assert "no weather today" in str(caught.value.details())
    assert (await scaling.get("a")).status.desired_count == 2


async def test_a_pool_that_is_unknown_is_not_coordinated(scaling: Scaling) -> None:
    assert await refused(coordinating(scaling, Target(pool_id="a", agents=1))) == "POOL_NOT_FOUND"

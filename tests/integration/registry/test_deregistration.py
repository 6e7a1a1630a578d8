"""Leaving: at once or after a drain, what becomes of each part, and what the registry measures of failing agents."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from prometheus_client import REGISTRY

from support.registry import FIRST, SECOND, SETTINGS, Heartbeats, Registry, fields_of, reason_of
from tercio.api.registry.v1 import agent_pb2, registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.testing.eventually import eventually
from tercio_registry.state.registration import deregister

Report = registration_pb2.DeregistrationReport
Request = pb.DeregisterAgentRequest
GONE = agent_pb2.Agent.STATE_DEREGISTERED


def parts(report: Report) -> dict[str, str]:
    return {
        Report.Part.Name(each.part).removeprefix("PART_"): Report.Outcome.Name(each.outcome).removeprefix("OUTCOME_")
        for each in report.parts
    }


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tercio_registry_{name}", labels) or 0


def graceful(**fields: Any) -> pb.DeregisterAgentRequest:
    return Request(agent_id="a", mode=Request.MODE_GRACEFUL, **fields)


async def draining(registry: Registry) -> None:
    async def drains() -> bool:
        return (await registry.get()).draining

    await eventually(drains)


async def test_a_forced_end_is_immediate_and_reports_every_part(registry: Registry) -> None:
    await registry.register()
    before = sample("deregistrations_total", mode="forced")
    reply = await registry.stub.DeregisterAgent(Request(agent_id="a", mode=Request.MODE_FORCED, reason="bad disk"))
    assert (reply.agent.state, reply.agent.state_reason) == (GONE, "bad disk")
    assert parts(reply.report) == {
        "TASKS": "PENDING",
        "RESOURCES": "COMPLETED",
        "CREDENTIALS": "COMPLETED",
        "MONITORING": "COMPLETED",
        "HISTORY": "KEPT",
        "REGISTRY": "COMPLETED",
    }
    assert reply.report.HasField("duration")
    assert all(part.detail for part in reply.report.parts)
    assert sample("deregistrations_total", mode="forced") == before + 1


async def test_a_graceful_end_waits_for_the_agent(registry: Registry) -> None:
    await registry.register()
    call = asyncio.ensure_future(_sent(registry.stub.DeregisterAgent(graceful(reason="image"), timeout=30)))
    await draining(registry)
    assert not call.done()
    drain = Request.Drain(finished_attempts=3, returned_attempts=2, duration=Duration(seconds=1))
    own = await registry.stub.DeregisterAgent(graceful(incarnation=1, drain=drain))
    for reply in (own, await call):
        assert reply.agent.state == GONE
        assert parts(reply.report)["TASKS"] == "COMPLETED"
        assert reply.report.parts[0].detail == "in 1000 ms it finished 3 attempts and returned 2"


async def test_an_agent_that_drains_too_long_is_removed(registry: Registry) -> None:
    await registry.register()
    beats = Heartbeats(registry)
    request = graceful(drain_timeout=Duration(seconds=2))
    call = asyncio.ensure_future(_sent(registry.stub.DeregisterAgent(request, timeout=30)))
    await draining(registry)
    for _ in range(3):
        await beats.beat(("a", 1))
        await registry.clock.advance(750)
    reply = await call
    assert (reply.agent.state, reply.agent.state_reason) == (GONE, "its time to drain was over")
    assert parts(reply.report)["TASKS"] == "PENDING"


async def test_a_caller_whose_time_is_over_is_told_that_the_drain_goes_on(registry: Registry) -> None:
    await registry.register()
    reply = await registry.stub.DeregisterAgent(graceful(), timeout=0.6)
    assert (reply.agent.draining, parts(reply.report)) == (True, {"TASKS": "PENDING"})
    again = asyncio.ensure_future(_sent(registry.stub.DeregisterAgent(graceful(drain_timeout=Duration(seconds=1)))))
    await eventually(
        lambda: registry.service.host.machine.agents["a"].leave_by <= registry.service.host.moment().now + 1_000
    )
    await registry.clock.advance(1_500)
    assert (await again).agent.state == GONE


async def test_a_new_process_ends_the_wait_and_is_not_drained(registry: Registry) -> None:
    await registry.register(instance_id=FIRST)
    call = asyncio.ensure_future(_sent(registry.stub.DeregisterAgent(graceful())))
    await draining(registry)
    await registry.register(instance_id=SECOND)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert reason_of(caught.value) == "AGENT_REPLACED"
    assert not (await registry.get()).draining


async def test_bad_fields_are_named(registry: Registry) -> None:
    drain = Request.Drain(duration=Duration(seconds=-1))
    request = Request(agent_id="a", mode=9, drain_timeout=Duration(), drain=drain)  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await registry.stub.DeregisterAgent(request)
    assert sorted(fields_of(caught.value)) == ["drain.duration", "drain_timeout", "drain_timeout", "mode"]


async def test_what_fails_unexpectedly_changes_nothing(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    await registry.register()

    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(f"{deregister.__module__}.deregister", fail)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await registry.stub.DeregisterAgent(Request(agent_id="a"))
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.INTERNAL, "DEREGISTRATION_EXCEPTION")
    assert "secret" not in (caught.value.details() or "")
    assert await registry.state() == "HEALTHY"


async def test_detection_and_recovery_are_measured(registry: Registry) -> None:
    await registry.register()
    beats = Heartbeats(registry)
    found = {state: sample("detection_seconds_count", state=state) for state in ("degraded", "unhealthy", "gone")}
    silent = sample("detection_seconds_sum", state="degraded")
    recovered, took = sample("recovery_seconds_count"), sample("recovery_seconds_sum")
    await registry.clock.advance(1_700)
    await eventually(lambda: sample("detection_seconds_count", state="degraded") == found["degraded"] + 1)
    assert sample("detection_seconds_sum", state="degraded") - silent >= 1.5
    for _ in range(1 + SETTINGS.recovery_streak):  # the first one is late itself
        await beats.beat(("a", 1))
    await eventually(lambda: sample("recovery_seconds_count") == recovered + 1)
    assert sample("recovery_seconds_sum") - took < 1
    await registry.clock.advance(4_000)
    await eventually(lambda: sample("detection_seconds_count", state="gone") == found["gone"] + 1)
    await registry.register()
    await eventually(lambda: sample("recovery_seconds_count") == recovered + 2)


async def test_agents_are_counted_in_all_and_those_that_are_active(registry: Registry) -> None:
    for agent_id in ("a", "b", "c"):
        await registry.register(agent_id)
    await registry.stub.DeregisterAgent(Request(agent_id="c"))
    await registry.clock.advance(500)
    await eventually(lambda: (sample("known_agents"), sample("active_agents")) == (3, 2))
    assert sample("agents", state="deregistered") == 1


async def test_a_watch_by_expression_shows_the_change_with_which_an_agent_stops_matching(registry: Registry) -> None:
    expression = "capabilities.python >= 3 AND cordoned = false"
    watch = await registry.watch(filter=pb.AgentFilter(expression=expression)).standing()
    await registry.register("other", capabilities={"python": 2})
    await registry.register("a", capabilities={"python": 3})
    assert await watch.next() == ("a", "HEALTHY")
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True))
    message = await watch.message()
    assert (message.agent.agent_id, message.agent.cordoned) == ("a", True)
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="other", cordoned=True))
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=False))
    assert (await watch.message()).agent.agent_id == "a"
    watch.call.cancel()


async def test_load_is_what_the_last_heartbeat_said(registry: Registry) -> None:
    await registry.register("a", concurrency=4)
    await registry.register("b", concurrency=4)
    call = registry.stub.Heartbeat()
    beat = pb.HeartbeatRequest.Beat(agent_id="a", incarnation=1, active_attempts=3)
    await call.write(pb.HeartbeatRequest(beats=[beat]))
    await call.read()
    assert await registry.pages(filter=pb.AgentFilter(expression="load > 0.5")) == [["a"]]
    assert (await registry.get()).active_attempts == 3
    call.cancel()


async def test_a_wrong_expression_is_refused_with_its_place(registry: Registry) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await registry.pages(filter=pb.AgentFilter(expression="id = a AND speed > 3"))
    assert fields_of(caught.value) == ["filter.expression"]
    assert "at character 12: there is no field 'speed'" in (caught.value.details() or "")


async def _sent(call: Any) -> pb.DeregisterAgentResponse:
    reply: pb.DeregisterAgentResponse = await call
    return reply

"""What was decided and why, and what is foreseen, through real gRPC."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from support.registry import fields_of, reason_of
from support.scaling import Scaling, running_scaling, seen
from tercio.api.scaling.v1 import scaling_event_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_scaling.settings import ScalingSettings
from tercio_scaling.state.forecasting import INTERVAL_MS

Event = scaling_event_pb2.ScalingEvent


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def read(watch: Any) -> Any:
    message = await asyncio.wait_for(watch.read(), 10)
    assert message is not grpc.aio.EOF
    return message


async def test_a_decision_is_told_with_all_that_it_was_drawn_from(scaling: Scaling) -> None:
    await scaling.apply(min_agents=1, agent_cost_micros_per_hour=10)
    await scaling.see(seen("p", "p-1", waiting=9))
    event = (await scaling.events("kind = SCALED_UP"))[0]
    assert (event.before_count, event.after_count, event.wanted_count) == (1, 2, 9)
    assert (event.rule, event.outcome, event.principal) == ("queue_depth", Event.OUTCOME_PENDING, "")
    assert event.reason == "9 tasks wait and 0 run, for 0 ms each"
    assert {each.trigger: each.agent_count for each in event.proposals} == {"queue_depth": 9, "utilisation": 0}
    assert [(each.name, each.agent_count) for each in event.limits] == [("step", 2)]
    assert (event.inputs.waiting_count, event.inputs.ready_count) == (9, 1)
    assert (event.impact.slots_before, event.impact.slots_after) == (1, 2)
    assert (event.impact.cost_before_micros_per_hour, event.impact.cost_after_micros_per_hour) == (10, 20)
    assert event.impact.expected_time.seconds == 60
    assert event.epoch.revision
    assert [(phase.name, phase.HasField("duration")) for phase in event.phases] == [("drive", False)]


async def test_a_refusal_is_told_once(scaling: Scaling) -> None:
    await scaling.apply(min_agents=1, max_agents=1)
    for _ in range(3):
        await scaling.see(seen("p", "p-1", waiting=9))
    (event,) = await scaling.events("kind = REFUSED")
    assert [each.name for each in event.limits] == ["maximum"]
    assert event.reason.endswith("refused by maximum")


async def test_events_are_listed_by_page_the_newest_first(scaling: Scaling) -> None:
    for name in ("a", "b", "c"):
        await scaling.apply(name)
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListScalingEventsRequest(page_size=2, page_token=token, expression="kind = APPLIED")
        reply = await scaling.stub.ListScalingEvents(request)
        found += [event.pool_id for event in reply.events]
        token = reply.next_page_token
        if not token:
            break
    assert sorted(found) == ["a", "b", "c"]
    assert len(await scaling.events()) == 6
    wrong = pb.ListScalingEventsRequest(page_token="x")
    assert await refused(scaling.stub.ListScalingEvents(wrong)) == "CURSOR_INVALID"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scaling.events("weather = 1")
    assert fields_of(caught.value) == ["expression"]


async def test_a_watch_of_events_resumes_without_a_gap(scaling: Scaling) -> None:
    listed = await scaling.stub.ListScalingEvents(pb.ListScalingEventsRequest())
    await scaling.apply(min_agents=1)
    request = pb.WatchScalingEventsRequest(cursor=listed.cursor, expression="kind = SCALED_UP")
    watch = scaling.stub.WatchScalingEvents(request)
    assert not (await read(watch)).events
    shown = await read(watch)
    assert [event.rule for event in shown.events] == ["minimum"]
    watch.cancel()
    await scaling.see(seen("p", "p-1"))
    resumed = scaling.stub.WatchScalingEvents(pb.WatchScalingEventsRequest(cursor=shown.cursor))
    await read(resumed)
    (event,) = (await read(resumed)).events
    assert (event.event_id, event.outcome) == (shown.events[0].event_id, Event.OUTCOME_DONE)
    resumed.cancel()
    wrong = scaling.stub.WatchScalingEvents(pb.WatchScalingEventsRequest(cursor="x"))
    assert await refused(wrong.read()) == "CURSOR_INVALID"


async def test_events_are_forgotten_by_number_and_by_age(store: MemoryStore, clock: ManualClock) -> None:
    settings = ScalingSettings(max_events=10, history_ms=60_000)
    async with running_scaling(store, clock=clock, settings=settings) as scaling:
        await scaling.apply(min_agents=0)
        for agents in range(1, 9):
            await scaling.scale(agents)
            await scaling.scale(0)
        assert len(await scaling.events()) == 10
        await clock.advance(61_000)
        await eventually(lambda: not len(scaling.service.host.machine.tables.events))
        assert await scaling.events() == []


async def test_a_forecast_begins_with_nothing(scaling: Scaling) -> None:
    await scaling.apply()
    forecast = (await scaling.stub.GetForecast(pb.GetForecastRequest(pool_id="p", interval_count=3))).forecast
    assert (forecast.interval.seconds, forecast.startup_time.seconds) == (INTERVAL_MS // 1_000, 60)
    assert not forecast.points
    assert not forecast.trusted
    assert await refused(scaling.stub.GetForecast(pb.GetForecastRequest(pool_id="q"))) == "POOL_NOT_FOUND"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scaling.stub.GetForecast(pb.GetForecastRequest(interval_count=289))
    assert fields_of(caught.value) == ["pool_id", "interval_count"]


async def test_how_the_scaling_of_a_pool_goes_is_measured(scaling: Scaling, clock: ManualClock) -> None:
    await scaling.apply("a", agent_cost_micros_per_hour=10)
    await scaling.apply("p", min_agents=1, max_agents=3, agent_cost_micros_per_hour=10)
    await scaling.see(seen("p", "p-1", waiting=1))
    await scaling.see(seen("p", "p-1", waiting=9))
    await clock.advance(2_000)
    await scaling.see(seen("p", "p-1", "p-2", waiting=9))
    await clock.advance(4_000)
    await scaling.see(seen("p", "p-1", "p-2", "p-3", waiting=9))
    await scaling.scale(1)
    reply = await scaling.stub.GetScalingMetrics(pb.GetScalingMetricsRequest())
    assert [each.pool_id for each in reply.metrics] == ["a", "p"]
    measured = (await scaling.stub.GetScalingMetrics(pb.GetScalingMetricsRequest(pool_id="p"))).metrics[0]
    assert (measured.desired_count, measured.down_count, measured.flap_count) == (1, 1, 1)
    assert measured.refused_count == 1
    assert measured.max_response_time.ToMilliseconds() >= measured.mean_response_time.ToMilliseconds() > 0
    assert measured.cost_micros_per_hour == 10
    unknown = pb.GetScalingMetricsRequest(pool_id="q")
    assert await refused(scaling.stub.GetScalingMetrics(unknown)) == "POOL_NOT_FOUND"


async def test_what_is_told_is_counted_and_how_pools_are_is_shown_to_prometheus(
    scaling: Scaling, clock: ManualClock
) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"tercio_scaling_{name}", {"pool": "counted", **labels}) or 0

    before = value("events_total", kind="scaled_up")
    await scaling.apply("counted", min_agents=1)
    await scaling.see(seen("counted", "counted-1", waiting=2))
    await eventually(lambda: value("events_total", kind="scaled_up") == before + 2)
    await clock.advance(1_000)
    await eventually(lambda: value("desired_agents") == 2)

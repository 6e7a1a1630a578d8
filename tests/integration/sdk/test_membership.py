"""Registration and heartbeats against a registry that says what the test wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest

from support.scripted_services import ScriptedRegistry, ScriptedScheduler, epoch, offer, serving, status
from tercio import Agent, AgentReplacedError, Context, Credential, TercioError
from tercio.api.registry.v1 import registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb2


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[asyncio.Task[None]]:
    @agent.task("t")
    async def echo(task: Context) -> bytes:
        return task.payload

    task = asyncio.create_task(agent.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def answer(*, incarnation: int = 1, **fields: object) -> registry_pb2.HeartbeatResponse:
    return registry_pb2.HeartbeatResponse(
        answers=[registry_pb2.HeartbeatResponse.Answer(agent_id="a1", incarnation=incarnation, **fields)],
        epoch=epoch(5),
    )


async def test_an_agent_registers_and_beats() -> None:
    registry = ScriptedRegistry()
    async with serving(ScriptedScheduler(), registry) as address:
        agent = Agent(
            address=address, agent_id="a1", capabilities={"python": 9}, labels={"zone": "b"}, concurrency=2,
            resource_requirements={"cpu_cores": 2}, max_resources={"cpu_cores": 4, "memory_mb": 512},
        )  # fmt: skip
        async with running(agent):
            stream = await registry.heartbeats.next()
            for _ in range(3):
                request = await stream.request()
                assert [(beat.agent_id, beat.incarnation) for beat in request.beats] == [("a1", 1)]
                assert request.beats[0].health.memory_limit_bytes > 0
                await stream.send(answer())
            registration = registry.registrations[0]
            assert dict(registration.capabilities) == {"python": 9}
            assert dict(registration.labels) == {"zone": "b"}
            assert registration.concurrency == 2
            assert len(registration.identity_secret) >= 16
            assert len(registration.instance_id) == 16
            assert [(each.dimension, each.amount) for each in registration.resource_requirements] == [("cpu_cores", 2)]
            assert {each.dimension: each.amount for each in registration.max_resources} == {
                "cpu_cores": 4,
                "memory_mb": 512,
            }
            assert abs(registration.start_time.ToSeconds() - time.time()) < 60
            assert len(registry.registrations) == 1


async def test_an_agent_has_what_was_issued_with_its_present_registration() -> None:
    registry = ScriptedRegistry()
    registry.credentials = [registration_pb2.Credential(credential_id="c1", kind="token", secret=b"first")]
    registry.credentials[0].expire_time.FromSeconds(1_800_000_000)
    async with serving(ScriptedScheduler(), registry) as address:
        agent = Agent(address=address, agent_id="a1")
        assert agent.credentials == ()
        async with running(agent):
            stream = await registry.heartbeats.next()
            expires = datetime.fromtimestamp(1_800_000_000, tz=UTC)
            assert agent.credentials == (
                Credential(credential_id="c1", kind="token", secret=b"first", expires=expires),
            )
            assert "first" not in repr(agent.credentials)
            registry.credentials = [registration_pb2.Credential(credential_id="c2", kind="token", secret=b"second")]
            await stream.request()
            await stream.send(answer(reason="AGENT_GONE"))
            await registry.heartbeats.next()
            assert [(each.credential_id, each.expires) for each in agent.credentials] == [("c2", None)]


async def test_beats_carry_what_was_done_and_a_new_stream_all_of_it() -> None:
    scheduler, registry = ScriptedScheduler(), ScriptedRegistry()
    async with serving(scheduler, registry) as address, running(Agent(address=address, agent_id="a1")):
        beats = await registry.heartbeats.next()
        work = await scheduler.work.next()
        await work.send(offer("x"))
        await work.request(lambda request: "x" in request.frame.ended.task_ids)
        for _ in range(2):
            while not (beat := (await beats.request()).beats[0]).HasField("totals"):
                await beats.send(answer())
            assert (list(beat.totals.task_types), list(beat.totals.succeeded)) == (["t"], [1])
            beats.end(status(grpc.StatusCode.UNAVAILABLE, "NO_LEADER"))
            beats = await registry.heartbeats.next()


@pytest.mark.parametrize("reason", ["AGENT_GONE", "AGENT_NOT_FOUND"])
async def test_an_unknown_agent_registers_again(reason: str) -> None:
    registry = ScriptedRegistry()
    async with serving(ScriptedScheduler(), registry) as address, running(Agent(address=address, agent_id="a1")):
        stream = await registry.heartbeats.next()
        await stream.request()
        await stream.send(answer(reason=reason))
        again = await registry.heartbeats.next()
        request = await again.request()
        assert request.beats[0].incarnation == 2
        assert registry.registrations[0].identity_secret == registry.registrations[1].identity_secret


async def test_a_replaced_agent_stops() -> None:
    registry = ScriptedRegistry()
    async with serving(ScriptedScheduler(), registry) as address, running(Agent(address=address, agent_id="a1")) as run:
        stream = await registry.heartbeats.next()
        await stream.request()
        await stream.send(answer(reason="AGENT_REPLACED"))
        with pytest.raises(AgentReplacedError):
            await asyncio.wait_for(run, 5)


async def test_a_replaced_agent_takes_its_id_back_when_told_to() -> None:
    registry = ScriptedRegistry()
    async with (
        serving(ScriptedScheduler(), registry) as address,
        running(Agent(address=address, agent_id="a1", register_when_replaced=True)),
    ):
        stream = await registry.heartbeats.next()
        await stream.request()
        await stream.send(answer(reason="AGENT_REPLACED"))
        again = await registry.heartbeats.next()
        assert (await again.request()).beats[0].incarnation == 2


async def test_a_drain_asked_by_the_registry_ends_the_agent() -> None:
    registry = ScriptedRegistry()
    async with serving(ScriptedScheduler(), registry) as address, running(Agent(address=address, agent_id="a1")) as run:
        stream = await registry.heartbeats.next()
        await stream.request()
        await stream.send(answer(draining=True))
        await asyncio.wait_for(run, 5)
        assert len(registry.deregistrations) == 1


async def test_a_lost_stream_is_opened_again_without_registering() -> None:
    registry = ScriptedRegistry()
    async with serving(ScriptedScheduler(), registry) as address, running(Agent(address=address, agent_id="a1")):
        (await registry.heartbeats.next()).end(status(grpc.StatusCode.UNAVAILABLE, "NO_LEADER"))
        again = await registry.heartbeats.next()
        assert (await again.request()).beats[0].incarnation == 1
        assert len(registry.registrations) == 1


async def test_a_silent_registry_is_asked_over_a_new_stream() -> None:
    registry = ScriptedRegistry()
    async with serving(ScriptedScheduler(), registry) as address, running(Agent(address=address, agent_id="a1")):
        await (await registry.heartbeats.next()).request()
        await (await registry.heartbeats.next()).request()


async def test_work_goes_on_while_the_registry_is_away() -> None:
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, running(Agent(address=address, agent_id="a1")):
        stream = await scheduler.work.next()
        await stream.send(offer("x"))
        await stream.request(lambda request: "x" in request.frame.ended.task_ids)


async def test_an_impostor_is_refused() -> None:
    registry = ScriptedRegistry()
    registry.refusals = [status(grpc.StatusCode.ALREADY_EXISTS, "AGENT_IMPOSTOR")]
    async with serving(ScriptedScheduler(), registry) as address, running(Agent(address=address, agent_id="a1")) as run:
        with pytest.raises(TercioError, match="AGENT_IMPOSTOR"):
            await asyncio.wait_for(run, 5)

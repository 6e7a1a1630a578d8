"""An agent as a process of its own: what signals do to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from support.scripted_services import ScriptedRegistry, ScriptedScheduler, epoch, offer, serving
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb2
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio_common.testing.eventually import eventually

PROGRAM = """
import asyncio, sys
from tercio import Agent, Context

agent = Agent(address=sys.argv[1], agent_id="a1")

@agent.task("t")
async def nap(task: Context) -> str:
    await asyncio.sleep(float(task.text()))
    return "rested"

agent.run_blocking()
"""


async def test_sigterm_lets_the_agent_finish_and_a_second_one_does_not() -> None:
    for signals, nap_s, outcome in ((1, b"0.3", work_pb2.OUTCOME_UNSPECIFIED), (2, b"60", work_pb2.OUTCOME_FAILED)):
        scheduler = ScriptedScheduler()
        async with serving(scheduler) as address:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, address)
            stream = await scheduler.work.next()
            await stream.send(offer("x", payloads=[nap_s]))
            await stream.request(lambda request: "x" in request.frame.started.task_ids)
            process.send_signal(signal.SIGTERM)
            await stream.request(lambda request: request.draining)
            if signals == 2:
                process.send_signal(signal.SIGTERM)
            request = await stream.request(lambda request: len(request.frame.ended.task_ids) > 0)
            assert list(request.frame.outcomes) == ([outcome] if outcome else [])
            await stream.send(work_pb2.WorkResponse(epoch=epoch(5), committed_frame_number=request.frame_number))
            assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_the_first_signal_does_not_cut_a_drain_short_that_the_registry_asked_for() -> None:
    scheduler, registry = ScriptedScheduler(), ScriptedRegistry()
    async with serving(scheduler, registry) as address:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, address, env={**os.environ, "TERCIO_POOL": "p"}
        )
        stream, beats = await scheduler.work.next(), await registry.heartbeats.next()
        assert dict(registry.registrations[0].labels) == {"tercio.dev/pool": "p"}
        await stream.send(offer("x", payloads=[b"0.5"]))
        await stream.request(lambda request: "x" in request.frame.started.task_ids)
        drain = registry_pb2.HeartbeatResponse.Answer(agent_id="a1", incarnation=1, draining=True)
        await beats.send(registry_pb2.HeartbeatResponse(answers=[drain], epoch=epoch(5)))
        await stream.request(lambda request: request.draining)
        process.send_signal(signal.SIGTERM)
        assert (await eventually(lambda: registry.drains))[0].agent_id == "a1"
        request = await stream.request(lambda request: len(request.frame.ended.task_ids) > 0)
        assert not list(request.frame.outcomes)  # it succeeded
        await stream.send(work_pb2.WorkResponse(epoch=epoch(5), committed_frame_number=request.frame_number))
        assert await asyncio.wait_for(process.wait(), 10) == 0

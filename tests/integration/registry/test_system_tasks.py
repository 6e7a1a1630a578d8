"""What the registry wants agents to do, as the scheduler sees and answers it through real gRPC."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from support.registry import Registry, fields_of, reason_of, running_registry
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.type.v1 import system_task_pb2
from tercio_common.journal.memory import MemoryStore
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.system_tasks import GRACE_MS, SystemTaskWanted
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.state.commands import OpenSystemTasks

Outcome = system_task_pb2.SystemTaskOutcome


async def want(registry: Registry, *agent_ids: str) -> list[str]:
    """Let the registry ask these agents for something; return the ids once they are durable."""
    wanted = tuple(SystemTaskWanted("tercio.canary", each, timeout=1_000, input=b"nonce") for each in agent_ids)
    proposal = registry.service.host.propose(OpenSystemTasks(wanted), call=EFFECT)
    await registry.service.host.committed(proposal.seq)
    return list(proposal.reply)


def watch(registry: Registry, cursor: str = "") -> Any:
    return registry.stub.WatchSystemTasks(pb.WatchSystemTasksRequest(cursor=cursor))


async def next_task(call: Any) -> tuple[str, str]:
    """Return agent and cursor of the next system task; bookmarks are passed over."""
    while True:
        message = await asyncio.wait_for(call.read(), 10)
        if message.HasField("system_task"):
            return message.system_task.target_agent_id, message.cursor


async def report(registry: Registry, *ids: str) -> list[str]:
    outcomes = [Outcome(system_task_id=each, result=Outcome.RESULT_SUCCEEDED, output=b"nonce") for each in ids]
    reply = await registry.stub.ReportSystemTasks(pb.ReportSystemTasksRequest(outcomes=outcomes))
    return list(reply.unknown_system_task_ids)


async def test_a_watch_begins_with_what_is_open_and_leaves_nothing_out(registry: Registry) -> None:
    await want(registry, "a")
    call = watch(registry)
    assert (await next_task(call))[0] == "a"
    await want(registry, "b", "c")
    assert [(await next_task(call))[0] for _ in range(2)] == ["b", "c"]


async def test_a_watch_resumes_and_may_repeat_the_record_in_whose_middle_it_was(registry: Registry) -> None:
    call = watch(registry)
    start = (await call.read()).cursor
    await want(registry, "a", "b")
    _, middle = await next_task(call)
    again = watch(registry, middle)
    assert [(await next_task(again))[0] for _ in range(2)] == ["a", "b"]
    assert (await next_task(watch(registry, start)))[0] == "a"


async def test_a_watch_that_resumes_shows_nothing_that_ended(registry: Registry) -> None:
    call = watch(registry)
    await call.read()
    first, _ = await want(registry, "a", "b")
    _, middle = await next_task(call)
    await report(registry, first)
    assert (await next_task(watch(registry, middle)))[0] == "b"


async def test_a_report_settles_and_its_repetition_is_harmless(registry: Registry) -> None:
    first, second = await want(registry, "a", "b")
    assert await report(registry, first) == []
    assert await report(registry, first, second) == [first]
    assert await report(registry, second, "never-heard-of") == [second, "never-heard-of"]


async def test_a_task_that_nobody_answers_ends_by_itself(registry: Registry) -> None:
    (only,) = await want(registry, "a")
    await registry.clock.advance(1_000 + GRACE_MS + 100)
    await eventually(lambda: not len(registry.service.host.machine.system_tasks.table))
    assert await report(registry, only) == [only]


async def test_open_tasks_survive_a_change_of_leader(store: MemoryStore, clock: ManualClock) -> None:
    async with running_registry(store, clock=clock) as first:
        (only,) = await want(first, "a")
    async with running_registry(store, clock=clock) as second:
        message = await asyncio.wait_for(watch(second).read(), 10)
        assert message.system_task.system_task_id == only
        assert message.system_task.input == b"nonce"
        assert await report(second, only) == []


async def test_a_malformed_report_names_every_field(registry: Registry) -> None:
    outcomes = [Outcome(system_task_id="ok", result=Outcome.RESULT_FAILED)] * 2 + [Outcome(system_task_id="?")]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await registry.stub.ReportSystemTasks(pb.ReportSystemTasksRequest(outcomes=outcomes))
    assert fields_of(caught.value) == [
        "outcomes[1].system_task_id",
        "outcomes[2].system_task_id",
        "outcomes[2].result",
    ]


async def test_a_cursor_of_another_call_is_refused(registry: Registry) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch(registry, await registry.cursor()).read()
    assert reason_of(caught.value) == "CURSOR_INVALID"

"""G9: a poison task stops after its maximum attempts, as a dead letter with every attempt's error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from support.processes import Fleet
from support.raw_agent import raw_agent
from support.workload import Workload, agents
from tercio import Client, Context, HandlerError, RetryPolicy, TaskDeadLetteredError
from tercio.api.scheduler.v1 import task_pb2
from tercio_common.testing.history import judge, recorded

_ATTEMPTS = 3
_RETRY = RetryPolicy(max_attempts=_ATTEMPTS, initial_backoff=timedelta(milliseconds=1), multiplier=1.0)


async def _fail(task: Context) -> None:
    raise HandlerError(f"attempt {task.attempt} failed", reason="POISON")


async def test_a_task_that_always_fails_ends_as_a_dead_letter_with_every_error(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    server = await fleet.add()
    aim(server.address)
    async with (
        recorded(fleet.journal, recording) as recorder,
        agents(1, task_type="work", handler=_fail),
        Client() as client,
    ):
        work = Workload(client, recorder)
        task = await client.submit("work", retry=_RETRY)
        work.follow(task)
        with pytest.raises(TaskDeadLetteredError):
            await task.result()
        await work.states()
        ended = await client.get(task.task_id)
    assert [error.reason for error in ended.errors] == ["POISON"] * _ATTEMPTS
    judge(recording).demand()


async def _kill_the_agent_again_and_again(address: str, *, times: int) -> None:
    for _ in range(times):
        async with raw_agent(address) as agent:
            await agent.hello()
            await agent.start(await agent.next_attempt())


async def test_a_task_that_kills_its_agents_ends_as_a_dead_letter(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    server = await fleet.add()
    aim(server.address)
    async with recorded(fleet.journal, recording) as recorder, Client() as client:
        work = Workload(client, recorder)
        task = await client.submit("work", retry=_RETRY)
        work.follow(task)
        await _kill_the_agent_again_and_again(server.address, times=_ATTEMPTS)
        async with raw_agent(server.address) as agent:
            await agent.hello()
            await work.states()
        ended = await client.get(task.task_id)
    assert ended.state == task_pb2.Task.STATE_DEAD_LETTER
    assert [error.reason for error in ended.errors] == ["AGENT_LOST"] * _ATTEMPTS
    judge(recording).demand()


async def test_attempts_without_end_would_be_found_out(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    server = await fleet.add("support.launchers.endless_attempts")
    aim(server.address)
    async with recorded(fleet.journal, recording), Client() as client:
        await client.submit("work", retry=_RETRY)
        await _kill_the_agent_again_and_again(server.address, times=_ATTEMPTS + 1)
    assert judge(recording).broken() == {"G9"}

"""What an agent prefetched goes to another one that is idle, or when the agent may take no more work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tercio import Agent, Client, Context, TaskState
from tercio.testing import Fleet, running_fleet
from tercio_common.testing.eventually import eventually


@contextlib.asynccontextmanager
async def prefetched(fleet: Fleet, client: Client) -> AsyncIterator[tuple[asyncio.Event, list[str]]]:
    """Agent `slow` runs a task until the event is set, and holds others ready that it cannot begin before."""
    agent = Agent(address=fleet.address, agent_id="slow", concurrency=1)
    go_on = asyncio.Event()

    @agent.task("echo")
    async def echo(task: Context) -> bytes:
        return task.payload

    @agent.task("wait")
    async def wait(task: Context) -> None:
        await go_on.wait()

    async with fleet.running(agent):
        try:
            assert len([result async for result in client.map("echo", [b"x"] * 50)]) == 50
            waiting = await client.submit("wait")
            await reach(client, [waiting.task_id], TaskState.RUNNING)
            held = [client.enqueue("echo", str(number)).task_id for number in range(5)]
            await reach(client, held, TaskState.OFFERED)
            yield go_on, held
            await waiting.result()
        finally:
            go_on.set()


async def reach(client: Client, task_ids: list[str], state: TaskState) -> None:
    """Wait until all of these tasks are in that state."""

    async def are_there() -> bool:
        found = [task.task_id async for task in client.list(states=[state])]
        return set(task_ids) <= set(found)

    await eventually(are_there)


async def test_an_idle_agent_runs_what_a_busy_one_holds_unbegun() -> None:
    async with running_fleet() as fleet, fleet.client() as client, prefetched(fleet, client) as (go_on, held):
        idle = Agent(address=fleet.address, agent_id="idle", concurrency=1)

        @idle.task("echo")
        async def echo(task: Context) -> str:
            return "elsewhere"

        async with fleet.running(idle):
            results = [await asyncio.wait_for(client.handle(task_id).text(), 10) for task_id in held]
        assert results == ["elsewhere"] * 5
        assert [(await client.get(task_id)).failures for task_id in held] == [0] * 5
        go_on.set()


async def test_a_cordoned_agent_gives_back_what_it_has_not_begun_and_runs_on() -> None:
    async with running_fleet() as fleet, fleet.client() as client, prefetched(fleet, client) as (go_on, held):
        await client.cordon_agent("slow")
        await reach(client, held, TaskState.READY)
        go_on.set()

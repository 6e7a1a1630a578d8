"""Agent and client against the real services, in one process on the journal in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tercio import (
    Agent,
    BlockingContext,
    Context,
    InvalidRequestError,
    NotFoundError,
    PermanentError,
    RetryPolicy,
    TaskCancelledError,
    TaskDeadLetteredError,
    TaskSpec,
    TaskState,
)
from tercio.testing import Fleet, running_fleet

AT_ONCE = RetryPolicy(max_attempts=3, initial_backoff=timedelta(milliseconds=10))


@pytest.fixture
async def tercio_fleet() -> AsyncIterator[Fleet]:
    async with running_fleet() as fleet:
        yield fleet


@pytest.fixture
def agent(tercio_fleet: Fleet) -> Agent:
    agent = Agent(address=tercio_fleet.address, agent_id="a1", capabilities={"python": 50}, concurrency=2)

    @agent.task("echo")
    async def echo(task: Context) -> bytes:
        return task.payload

    @agent.task("shout")
    def shout(task: BlockingContext) -> str:
        return task.text().upper()

    @agent.task("flaky")
    async def flaky(task: Context) -> dict[str, object]:
        if task.failures == 0:
            await task.checkpoint({"page": 3})
            raise ConnectionError("gone")
        return {"attempt": task.attempt, "checkpoint": task.last_checkpoint.decode()}

    @agent.task("hopeless")
    async def hopeless(task: Context) -> None:
        raise PermanentError("not a picture", reason="BAD_PICTURE")

    @agent.task("endless")
    async def endless(task: Context) -> None:
        await task.progress(40)
        await asyncio.Event().wait()

    return agent


async def test_tasks_of_every_kind_of_handler_come_back(tercio_fleet: Fleet, agent: Agent) -> None:
    async with tercio_fleet.running(agent), tercio_fleet.client() as client:
        assert await (await client.submit("echo", {"a": 1})).json() == {"a": 1}
        assert await (await client.submit("shout", "quiet", requires={"python": 50})).text() == "QUIET"
        flaky = await client.submit("flaky", retry=AT_ONCE)
        assert await flaky.json() == {"attempt": 2, "checkpoint": '{"page":3}'}
        hopeless = await client.submit("hopeless", retry=AT_ONCE)
        with pytest.raises(TaskDeadLetteredError) as caught:
            await hopeless
        assert caught.value.reason == "BAD_PICTURE"


async def test_a_thousand_tasks_come_back_in_order(tercio_fleet: Fleet, agent: Agent) -> None:
    async with tercio_fleet.running(agent), tercio_fleet.client() as client:
        payloads = [b"%d" % number for number in range(1_000)]
        assert [result async for result in client.map("echo", payloads)] == payloads


async def test_a_running_task_shows_its_progress_and_can_be_cancelled(tercio_fleet: Fleet, agent: Agent) -> None:
    async with tercio_fleet.running(agent), tercio_fleet.client() as client:
        async with client.watch(task_type="endless", states=[TaskState.RUNNING]) as watch:
            running = asyncio.ensure_future(anext(watch))
            handle = await client.submit("endless")
            assert (await asyncio.wait_for(running, 5)).task_id == handle.task_id
        assert (await client.get(handle.task_id)).progress_percent == 40
        await client.cancel(handle.task_id, reason="enough")
        with pytest.raises(TaskCancelledError):
            await asyncio.wait_for(handle.result(), 5)


async def test_a_plan_runs_in_the_order_of_its_dependencies(tercio_fleet: Fleet, agent: Agent) -> None:
    async with tercio_fleet.running(agent), tercio_fleet.client() as client:
        plan = await client.create_plan(
            [
                TaskSpec(task_type="echo", payload="1", task_id="first"),
                TaskSpec(task_type="echo", payload="2", task_id="second", depends_on=["first"]),
            ],
            plan_id="p",
        )
        assert plan.task_count == 2
        assert await client.handle("second").text() == "2"
        assert (await client.get_plan("p")).succeeded_count == 2
        assert [task.task_id async for task in client.list(plan_id="p")] == ["first", "second"]


async def test_the_fleet_is_seen_and_a_drained_agent_leaves_it(tercio_fleet: Fleet, agent: Agent) -> None:
    async with tercio_fleet.client() as client:
        run = asyncio.create_task(agent.run())
        async with client.watch_agents(existing=True) as watch:
            assert (await asyncio.wait_for(anext(watch), 5)).agent_id == "a1"
        await client.drain_agent("a1")
        await asyncio.wait_for(run, 10)
        assert [found.agent_id async for found in client.agents()] == []


async def test_a_malformed_task_is_refused_and_its_frame_fellows_are_not(tercio_fleet: Fleet, agent: Agent) -> None:
    async with tercio_fleet.running(agent), tercio_fleet.client() as client:
        good = [client.enqueue("echo", str(number)) for number in range(5)]
        bad = client.enqueue("echo", labels={"x" * 200: "y"})
        good += [client.enqueue("echo", str(number)) for number in range(5, 9)]
        with pytest.raises(InvalidRequestError, match="labels"):
            await bad
        assert [await handle.text() for handle in good] == [str(number) for number in range(9)]


async def test_what_is_not_there_is_not_found(tercio_fleet: Fleet) -> None:
    async with tercio_fleet.client() as client:
        for call in (client.get("none"), client.explain("none"), client.get_plan("none"), client.get_agent("none")):
            with pytest.raises(NotFoundError):
                await call
        with pytest.raises(NotFoundError):
            await client.handle("none")

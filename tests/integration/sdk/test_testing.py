"""`tercio.testing` gives a test a whole fleet, with nothing mocked."""

from __future__ import annotations

import pytest

from tercio import Agent, Context, RetryPolicy, SettingsError, TaskDeadLetteredError
from tercio.testing import Fleet, tercio_fleet

__all__ = ["tercio_fleet"]


async def test_an_agent_and_a_client_meet(tercio_fleet: Fleet) -> None:
    agent = Agent(address=tercio_fleet.address, capabilities={"text": 10})

    @agent.task("upper")
    async def upper(task: Context) -> str:
        return task.payload.decode().upper()

    async with tercio_fleet.running(agent), tercio_fleet.client() as client:
        task = await client.submit("upper", "hello", requires={"text": 5})
        assert await task.result() == b"HELLO"
        assert [one.agent_id async for one in client.agents()] == [agent.agent_id]


async def test_a_failing_handler_ends_as_a_dead_letter(tercio_fleet: Fleet) -> None:
    agent = Agent(address=tercio_fleet.address)

    @agent.task("fail")
    async def fail(_: Context) -> None:
        raise ValueError("no")

    async with tercio_fleet.running(agent), tercio_fleet.client() as client:
        task = await client.submit("fail", retry=RetryPolicy(max_attempts=1))
        with pytest.raises(TaskDeadLetteredError, match="no"):
            await task.result()


async def test_an_agent_that_cannot_run_fails_the_test(tercio_fleet: Fleet) -> None:
    with pytest.raises(SettingsError, match="no handler"):
        async with tercio_fleet.running(Agent(address=tercio_fleet.address)):
            raise AssertionError("not reached")

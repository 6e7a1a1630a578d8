"""The Work stream itself: its first message, its session, and what it does when the store stands still."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.registry import reason_of
from support.scheduler_service import LEASE_MS, SECOND, Scheduler, columns
from tercio.api.scheduler.v1 import work_service_pb2 as work_api
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_scheduler.api.streams import MAX_UNCOMMITTED
from tercio_scheduler.state.recall import RIPE_MS


async def test_the_credit_of_the_first_message_counts_from_the_first_offer_on(scheduler: Scheduler) -> None:
    await scheduler.submit(*[f"t{number}" for number in range(10)])
    async with scheduler.agent(concurrency=10, credit=2) as agent:
        await agent.has(2)
        await agent.start(*agent.attempts[:1])  # an answer of its own: nothing more was under way
        assert len(agent.attempts) == 2


async def test_two_processes_that_chose_the_same_session_are_told_apart(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent("a", session_id="the-same-for-all") as agent:
        await agent.succeed((await agent.has(1))[0])
    await scheduler.submit("u")
    async with scheduler.agent("a", session_id="the-same-for-all", instance_id=SECOND) as agent:
        await agent.succeed((await agent.has(1))[0])
    assert await scheduler.state("u") == "SUCCEEDED"


async def test_an_agent_that_is_not_read_while_the_store_stands_still_keeps_its_attempts(
    scheduler: Scheduler, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = scheduler.service.host._journal
    append, go_on = journal.append, asyncio.Event()

    async def append_later(*args: Any, **fields: Any) -> None:
        await go_on.wait()
        await append(*args, **fields)

    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.start(attempt)
        link = scheduler.service.host.session.agents["a"]
        monkeypatch.setattr(journal, "append", append_later)
        for _ in range(MAX_UNCOMMITTED + 1):
            last = await agent.report(started=columns([attempt]))
        await eventually(lambda: link.unread)
        for _ in range(4):
            await clock.advance(LEASE_MS // 2)
        go_on.set()
        await agent.settled(last)
        assert not link.unread
        assert await scheduler.state("t") == "RUNNING"
        await clock.advance(LEASE_MS // 2)
        assert await scheduler.state("t") == "RUNNING"
        await clock.advance(LEASE_MS)
        assert reason_of(await agent.ended()) == "AGENT_GONE"


async def test_an_idle_agent_is_given_what_a_busy_one_was_asked_to_return(
    scheduler: Scheduler, clock: ManualClock
) -> None:
    await scheduler.submit("a", "b")
    async with scheduler.agent("busy", concurrency=1, credit=5) as busy:
        begun, unbegun = await busy.has(2)
        await busy.start(begun)
        async with scheduler.agent("idle", concurrency=1) as idle:
            await clock.advance(2 * RIPE_MS)
            await eventually(lambda: busy.recalled)
            assert busy.recalled == [unbegun.key]
            assert idle.attempts == []
            await busy.end(unbegun, work_api.OUTCOME_RETURNED)
            (again,) = await idle.has(1)
            assert (again.task_id, again.number, again.failures) == ("b", 2, 0)

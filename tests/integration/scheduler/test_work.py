"""Agents on the Work stream: offers, results, reconnects, cancellations, leases."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from support.registry import reason_of
from support.scheduler_service import LEASE_MS, SECOND, Scheduler, ScriptedAgent, columns, running_scheduler
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as task_api
from tercio.api.scheduler.v1 import work_service_pb2 as work_api
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock


async def test_a_task_is_offered_run_and_its_result_is_kept(scheduler: Scheduler) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("t", payload=b"question")
        (attempt,) = await agent.has(1)
        assert (attempt.task_id, attempt.number, attempt.payload) == ("t", 1, b"question")
        assert await scheduler.state("t") == "OFFERED"
        await agent.start(attempt)
        assert await scheduler.state("t") == "RUNNING"
        await agent.succeed(attempt, result=b"answer")
    task = await scheduler.get("t")
    assert task.state == task_pb2.Task.STATE_SUCCEEDED
    assert task.result == b"answer"
    assert task.attempt.agent_id == "a"


async def test_the_first_response_names_the_epoch_and_the_lease(scheduler: Scheduler) -> None:
    async with scheduler.agent() as agent:
        first = agent.responses[0]
        assert first.attempt_lease_ms == LEASE_MS
        assert (first.epoch.generation, first.epoch.revision) == scheduler.service.host.epoch


async def test_an_agent_is_never_offered_more_than_its_credit(scheduler: Scheduler) -> None:
    await scheduler.submit(*[f"t{number}" for number in range(10)])
    async with scheduler.agent(concurrency=3) as agent:
        await agent.has(3)
        await agent.say(credit=5)
        await agent.has(5)
        await agent.succeed(*agent.attempts[:2])
        await agent.has(7)
        await agent.start(*agent.attempts[2:])  # an answer of its own: nothing more was under way
        assert len(agent.attempts) == 7


async def test_many_tasks_come_in_few_messages(scheduler: Scheduler) -> None:
    await scheduler.submit(*[f"t{number}" for number in range(900)])
    async with scheduler.agent(concurrency=1000) as agent:
        await agent.has(900)
        assert len(agent.responses) < 10


async def test_the_deadline_and_types_come_with_the_attempt(scheduler: Scheduler) -> None:
    await scheduler.submit("a1", task_type="alpha", attempt_timeout={"seconds": 7}, deadline_in={"seconds": 60})
    await scheduler.submit("b1", task_type="beta")
    async with scheduler.agent() as agent:
        await agent.has(2)
        sent = [response.assignments for response in agent.responses if response.HasField("assignments")]
        types = [one.task_types[(one.type_indexes or [0] * 9)[at]] for one in sent for at in range(len(one.task_ids))]
        assert sorted(types) == ["alpha", "beta"]
        assert {timeout for one in sent for timeout in one.timeout_ms} == {7_000, 300_000}
        (deadline,) = [extra.deadline_unix_ms for one in sent for extra in one.extras]
        assert deadline == scheduler.clock.wall_ms() + 60_000


async def test_a_result_of_an_older_attempt_changes_nothing(scheduler: Scheduler, clock: ManualClock) -> None:
    await scheduler.submit("t")
    async with scheduler.agent(concurrency=1) as agent:
        (first,) = await agent.has(1)
        await agent.fail(first)
        await clock.advance(2_000)
        second = (await agent.has(2))[1]
        await agent.succeed(first, result=b"old")
        assert await scheduler.state("t") == "OFFERED"
        await agent.succeed(second, result=b"new")
    assert (await scheduler.get("t")).result == b"new"


async def test_a_started_attempt_that_is_stale_is_cancelled(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        stale = attempt._replace(number=9)
        await agent.start(stale)
        await eventually(lambda: stale.key in agent.cancelled)


async def test_a_failure_is_tried_again_after_its_backoff(scheduler: Scheduler, clock: ManualClock) -> None:
    await scheduler.submit("t", retry={"initial_backoff": {"seconds": 5}, "max_attempts": 2})
    async with scheduler.agent() as agent:
        (first,) = await agent.has(1)
        await agent.fail(first)
        assert await scheduler.state("t") == "BACKOFF"
        await clock.advance(10_000)
        second = (await agent.has(2))[1]
        assert (second.number, second.failures) == (2, 1)
        await agent.fail(second, reason="STILL_BROKEN")
    task = await scheduler.get("t")
    assert task.state == task_pb2.Task.STATE_DEAD_LETTER
    assert [error.reason for error in task.errors] == ["BROKEN", "STILL_BROKEN"]


async def test_a_permanent_failure_is_a_dead_letter_at_once(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        await agent.fail((await agent.has(1))[0], permanent=True)
    assert await scheduler.state("t") == "DEAD_LETTER"


async def test_a_checkpoint_is_handed_to_the_next_attempt(scheduler: Scheduler, clock: ManualClock) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        saved = work_api.WorkFrame.Checkpoint(index=0, data=b"half way")
        await agent.settled(await agent.report(checkpointed=columns([attempt]), checkpoints=[saved]))
        await agent.fail(attempt)
        await clock.advance(2_000)
        assert (await agent.has(2))[1].checkpoint == b"half way"


async def test_progress_is_shown_while_the_attempt_runs(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.say(progress=work_api.ProgressFrame(attempts=columns([attempt]), percents=[40]))
        await agent.start(attempt)
        assert (await scheduler.get("t")).progress_percent == 40
        await agent.succeed(attempt)
    assert (await scheduler.get("t")).progress_percent == 0
    await eventually(lambda: not scheduler.service.host.session.progress)


async def test_a_cancellation_reaches_the_agent(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.start(attempt)
        await scheduler.tasks.CancelTask(task_api.CancelTaskRequest(task_id="t", reason="no longer wanted"))
        assert await scheduler.state("t") == "CANCELLING"
        await eventually(lambda: attempt.key in agent.cancelled)
        await agent.end(attempt, work_api.OUTCOME_CANCELLED)
    assert await scheduler.state("t") == "CANCELLED"


async def test_an_attempt_that_runs_too_long_is_stopped_and_tried_again(
    scheduler: Scheduler, clock: ManualClock
) -> None:
    await scheduler.submit("t", attempt_timeout={"seconds": 2})
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.start(attempt)
        await clock.advance(3_000)
        await eventually(lambda: attempt.key in agent.cancelled)
        await clock.advance(3_000)
        assert (await agent.has(2))[1].number == 2
        assert agent.cancelled.count(attempt.key) == 1
    assert (await scheduler.get("t")).errors[0].reason == "ATTEMPT_TIMEOUT"


async def test_a_task_past_its_deadline_is_stopped_and_fails(scheduler: Scheduler, clock: ManualClock) -> None:
    await scheduler.submit("t", deadline_in={"seconds": 5})
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.start(attempt)
        await clock.advance(6_000)
        await eventually(lambda: attempt.key in agent.cancelled)
        await agent.end(attempt, work_api.OUTCOME_CANCELLED)
    assert await scheduler.state("t") == "FAILED"


async def test_a_returned_attempt_does_not_count(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent(concurrency=1) as agent:
        await agent.end((await agent.has(1))[0], work_api.OUTCOME_RETURNED)
        second = (await agent.has(2))[1]
        assert (second.number, second.failures) == (2, 0)


async def test_a_silent_agent_loses_its_attempts_after_the_lease(scheduler: Scheduler, clock: ManualClock) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        await agent.start((await agent.has(1))[0])
        await clock.advance(LEASE_MS - 2_000)
        await agent.say(renew=True)
        await eventually(lambda: scheduler.service.host.session.agents["a"].renewed_at > LEASE_MS - 3_000)
        await clock.advance(LEASE_MS - 2_000)
        assert await scheduler.state("t") == "RUNNING"
        await clock.advance(LEASE_MS)
        assert reason_of(await agent.ended()) == "AGENT_GONE"
        await clock.advance(2 * LEASE_MS)
        task = await scheduler.get("t")
        assert [error.reason for error in task.errors] == ["AGENT_LOST"]


async def test_an_agent_that_was_idle_for_long_has_a_whole_lease_for_its_first_attempt(
    scheduler: Scheduler, clock: ManualClock
) -> None:
    async with scheduler.agent() as agent:
        await clock.advance(3 * LEASE_MS)
        await scheduler.submit("t")
        (attempt,) = await agent.has(1)
        await clock.advance(LEASE_MS - 2_000)
        await agent.start(attempt)
        assert await scheduler.state("t") == "RUNNING"


async def test_listed_attempts_are_adopted_after_a_reconnect(scheduler: Scheduler) -> None:
    await scheduler.submit("run", "wait", "lost")
    async with scheduler.agent(concurrency=3) as agent:
        attempts = {attempt.task_id: attempt for attempt in await agent.has(3)}
        await agent.start(attempts["run"])
        await agent.cut()
        await agent.connect(offered=[attempts["wait"]], started=[attempts["run"]])
        again = (await agent.has(4))[3]
        assert (again.task_id, again.number, again.failures) == ("lost", 2, 0)
        await agent.succeed(attempts["run"], attempts["wait"], again)
    assert [await scheduler.state(task_id) for task_id in attempts] == ["SUCCEEDED"] * 3


async def test_a_started_attempt_that_is_not_listed_counts_as_lost(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        await agent.start((await agent.has(1))[0])
        await agent.cut()
        await agent.connect()
        task = await scheduler.reaches("t", "BACKOFF")
        assert [error.reason for error in task.errors] == ["AGENT_LOST"]


async def test_an_attempt_that_is_not_the_agents_any_more_is_cancelled_at_hello(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.cut()
        await agent.connect(started=[attempt, attempt._replace(task_id="unknown")])
        await eventually(lambda: agent.cancelled)
        assert agent.cancelled == [("unknown", 1, attempt.epoch)]


async def test_a_new_process_takes_over_from_its_former_self(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as former:
        await former.start((await former.has(1))[0])
        async with scheduler.agent(instance_id=SECOND):
            assert reason_of(await former.ended()) == "STREAM_REPLACED"
            assert (await scheduler.get("t")).errors[0].reason == "AGENT_LOST"


async def test_a_second_stream_of_a_process_replaces_the_first(scheduler: Scheduler) -> None:
    async with scheduler.agent() as first, scheduler.agent() as second:
        assert reason_of(await first.ended()) == "STREAM_REPLACED"
        await scheduler.submit("t")
        await second.has(1)
        assert not first.attempts


async def test_a_frame_sent_again_is_acknowledged_and_has_no_second_effect(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.succeed(attempt, result=b"first")
        await agent.cut()
        agent.committed = 0
        await agent.connect(started=[attempt])
        await agent.report(number=1, ended=columns([attempt]), results=[b"second"])
        await agent.settled(1)
    assert (await scheduler.get("t")).result == b"first"


@pytest.mark.parametrize(("number", "reason"), [(5, "FRAME_OUT_OF_ORDER"), (2, "SESSION_EXPIRED")])
async def test_a_gap_in_the_frames_ends_the_stream(scheduler: Scheduler, number: int, reason: str) -> None:
    async with scheduler.agent() as agent:
        if reason == "FRAME_OUT_OF_ORDER":
            await agent.settled(await agent.report())
        await agent.report(number=number)
        assert reason_of(await agent.ended()) == reason


async def test_a_draining_agent_gets_nothing_new(scheduler: Scheduler) -> None:
    async with scheduler.agent() as leaving, scheduler.agent("b") as staying:
        await leaving.say(draining=True)
        await leaving.settled(await leaving.report())
        await scheduler.submit("t1", "t2")
        await staying.has(2)
        assert not leaving.attempts


async def test_the_stream_ends_well_once_everything_is_acknowledged(scheduler: Scheduler, clock: ManualClock) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent:
        frame = await agent.report(ended=columns([(await agent.has(1))[0]]))
        await agent.close()
        await agent.settled(frame)
        session = scheduler.service.host.session
        await eventually(lambda: not list(session.connected()))
        assert agent.error is None
        await clock.advance(1_000)
        assert not session.agents


async def test_a_frame_that_is_reported_before_hello_is_refused(scheduler: Scheduler) -> None:
    call = scheduler.work.Work()
    await call.write(work_api.WorkRequest(credit=3))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert reason_of(refused.value) == "INVALID_ARGUMENT"


async def test_capabilities_decide_who_gets_a_task(scheduler: Scheduler) -> None:
    async with (
        scheduler.agent("weak", capabilities={"python": 10}) as weak,
        scheduler.agent("strong", capabilities={"python": 90}, task_types=["echo"]) as strong,
        scheduler.agent("other", capabilities={"python": 90}, task_types=["paint"]) as other,
    ):
        await scheduler.submit("t", required_capabilities={"python": 50})
        await strong.has(1)
        await scheduler.submit("mine", target_agent_id="weak")
        assert (await weak.has(1))[0].task_id == "mine"
        assert not other.attempts


async def test_a_new_leader_adopts_what_the_agent_runs(store: MemoryStore, clock: ManualClock) -> None:
    async with running_scheduler(store, clock=clock) as before:
        await before.submit("t")
        agent = ScriptedAgent(before, "a")
        await agent.connect()
        (attempt,) = await agent.has(1)
        await agent.start(attempt)
        host = before.service.host
        await host.drain()
        await agent.ended()
        await agent.cut()
        await asyncio.wait({before.running}, timeout=10)
    assert reason_of(await agent.ended()) in {"DRAINING", "NOT_LEADER"}
    assert agent.responses[-1].going_away
    async with running_scheduler(store, clock=clock) as after:
        assert after.service.host.epoch > host.epoch
        successor = ScriptedAgent(after, "a", session_id=agent.session_id)
        successor.frames = agent.frames
        await successor.connect(started=[attempt])
        assert await after.state("t") == "RUNNING"
        await successor.succeed(attempt, result=b"done")
        assert (await after.get("t")).result == b"done"
        await successor.cut()

"""G2: a task may run more than once; exactly one attempt's result is recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from support.processes import SCHEDULER, Fleet
from support.raw_agent import raw_agent
from support.workload import Workload
from tercio import Client, RetryPolicy
from tercio_common.testing.history import Verdict, judge, recorded

_RETRY = RetryPolicy(initial_backoff=timedelta(milliseconds=1), multiplier=1.0)


async def _report_late(
    fleet: Fleet, recording: Path, aim: Callable[[str], None], *, module: str
) -> tuple[bytes, Verdict]:
    """Let an attempt time out and report it once the next one is out; return the task's result."""
    server = await fleet.add(module)
    aim(server.address)
    async with (
        recorded(fleet.journal, recording) as recorder,
        Client() as client,
        raw_agent(server.address) as agent,
    ):
        work = Workload(client, recorder)
        await agent.hello(concurrency=2)
        task = await client.submit("work", attempt_timeout=timedelta(milliseconds=200), retry=_RETRY)
        work.follow(task)
        first = await agent.next_attempt()
        await agent.start(first)
        second = await agent.next_attempt()
        assert second.number > first.number
        await agent.succeed(first, b"late")
        await agent.succeed(second, b"in time")
        await work.states()
        result = await task.result()
    return result, judge(recording)


async def test_the_late_report_of_an_older_attempt_changes_nothing(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    result, verdict = await _report_late(fleet, recording, aim, module=SCHEDULER)
    assert result == b"in time"
    verdict.demand()


async def test_a_scheduler_that_takes_any_report_would_be_found_out(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    result, verdict = await _report_late(fleet, recording, aim, module="support.launchers.trusting_reports")
    assert result == b"late"
    assert "G2" in verdict.broken()

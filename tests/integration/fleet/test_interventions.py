"""What the conflicts service finds in the scheduler's work, and what the scheduler does for it, over real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.conflicts import SCOPE, Conflicts, running_conflicts
from support.disputes import RESOLVED, Disputes, disputes_of
from support.scheduler_service import Scheduler, running_scheduler
from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.scheduler.v1.claim_spec_pb2 import ClaimSpec
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.peers import Peers
from tercio_common.testing.eventually import eventually
from tercio_conflicts.dispute_settings import DisputeSettings
from tercio_conflicts.settings import ConflictsSettings
from tercio_scheduler.settings import SchedulerSettings

FILE = ClaimSpec(kind=ClaimSpec.KIND_FILE, scope=SCOPE, name="a")
Action = conflict_pb2.Action


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=SystemClock())


@pytest.fixture
async def conflicts(store: MemoryStore) -> AsyncIterator[Conflicts]:
    settings = ConflictsSettings(disputes=DisputeSettings(look_ms=100, patience_ms=0))
    async with running_conflicts(store, clock=SystemClock(), settings=settings) as running:
        yield running


@pytest.fixture
async def disputes(conflicts: Conflicts) -> AsyncIterator[Disputes]:
    async with disputes_of(conflicts) as connected:
        yield connected


@pytest.fixture
async def scheduler(store: MemoryStore, conflicts: Conflicts) -> AsyncIterator[Scheduler]:
    peers = Peers(addresses={"conflicts": f"127.0.0.1:{conflicts.port}"})
    settings = SchedulerSettings(work_report_ms=100)
    async with running_scheduler(store, clock=SystemClock(), peers=peers, settings=settings) as running:
        yield running


async def test_a_holder_inherits_the_priority_of_who_waits_for_it(scheduler: Scheduler, disputes: Disputes) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("low", priority=1, claims=[FILE])
        (low,) = await agent.has(1)
        await agent.start(low)
        await scheduler.submit("high", priority=8, claims=[FILE])

        async def inversion_is_over() -> conflict_pb2.Conflict | None:
            found = await disputes.listed("type = priority_conflict")
            return next((each for each in found if each.state == RESOLVED), None)

        conflict = await eventually(inversion_is_over)
        assert sorted(conflict.conflict_analysis.task_ids) == ["high", "low"]
        assert conflict.resolution_strategy == "business_impact"
        assert (await scheduler.get("low")).template.priority == 8
        assert not await disputes.actions()
        await agent.succeed(low)
        await agent.has(2)


async def reported(disputes: Disputes, conflict: str, *tasks: str) -> None:
    """Let somebody report that these tasks are worked on, one file written by all."""
    work = [
        conflict_pb2.Work(task_id=task, agent_id=f"agent-of-{task}", files=["shared.py"], priority=9 - place)
        for place, task in enumerate(tasks)
    ]
    await disputes.work(*work, reporter=conflict)


async def test_who_writes_beside_another_without_a_claim_waits_for_its_end(
    scheduler: Scheduler, disputes: Disputes
) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("first", "second")
        first, second = await agent.has(2)
        await agent.start(first, second)
        await reported(disputes, "linter", "first", "second")
        await eventually(lambda: second.key in agent.cancelled)
        assert await scheduler.state("second") == "BACKOFF"
        await agent.succeed(first)
        again = (await agent.has(3))[2]
        assert (again.task_id, again.failures) == ("second", 0)


async def test_what_cannot_be_done_is_told_so_that_the_next_strategy_is_tried(
    scheduler: Scheduler, disputes: Disputes
) -> None:
    await reported(disputes, "linter", "unknown", "forgotten")

    async def first_strategy_failed() -> bool:
        found = await disputes.listed("type = resource_contention")
        tried = [attempt for each in found for attempt in each.resolution_execution]
        return any("has ended, or is not kept" in attempt.message for attempt in tried)

    await eventually(first_strategy_failed)

"""Tasks that claim things, with the services behind real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from support.conflicts import SCOPE, Conflicts, running_conflicts
from support.edge import failure_of
from support.resources import Resources, running_resources
from support.scheduler_service import Scheduler, ScriptedAgent, running_scheduler
from tercio.api.scheduler.v1 import task_service_pb2 as task_api
from tercio.api.scheduler.v1.claim_spec_pb2 import ClaimSpec
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.peers import Peers
from tercio_common.testing.eventually import eventually
from tercio_scheduler.settings import SchedulerSettings


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=SystemClock())


@pytest.fixture
async def conflicts(store: MemoryStore) -> AsyncIterator[Conflicts]:
    async with running_conflicts(store, clock=SystemClock()) as running:
        yield running


@pytest.fixture
async def resources(store: MemoryStore) -> AsyncIterator[Resources]:
    async with running_resources(store, clock=SystemClock()) as running:
        yield running


@pytest.fixture
async def scheduler(store: MemoryStore, conflicts: Conflicts, resources: Resources) -> AsyncIterator[Scheduler]:
    settings = SchedulerSettings(grant_renewal_ms=400)
    peers = Peers(addresses={"conflicts": f"127.0.0.1:{conflicts.port}", "resources": f"127.0.0.1:{resources.port}"})
    async with running_scheduler(store, clock=SystemClock(), peers=peers, settings=settings) as running:
        yield running


def file(name: str) -> ClaimSpec:
    return ClaimSpec(kind=ClaimSpec.KIND_FILE, scope=SCOPE, name=name)


def glob(name: str, **fields: Any) -> ClaimSpec:
    return ClaimSpec(kind=ClaimSpec.KIND_GLOB, scope=SCOPE, name=name, **fields)


async def explained(scheduler: Scheduler, task_id: str) -> task_api.ExplainTaskResponse:
    reply: task_api.ExplainTaskResponse = await scheduler.tasks.ExplainTask(
        task_api.ExplainTaskRequest(task_id=task_id)
    )
    return reply


async def blocked_by(scheduler: Scheduler, task_id: str) -> list[str]:
    return [blocker.owner.partition("@")[0] for blocker in (await explained(scheduler, task_id)).blockers]


async def holds_nothing(conflicts: Conflicts) -> bool:
    return not await conflicts.listed()


async def test_no_two_tasks_edit_the_same_file_at_once(scheduler: Scheduler, conflicts: Conflicts) -> None:
    task_ids = [f"t{number}" for number in range(4)]
    async with scheduler.agent() as agent:
        await scheduler.submit("wide", claims=[glob("src/**")])
        (first,) = await agent.has(1)
        await scheduler.submit(*task_ids, claims=[file("src/a.py"), file("docs/b.md")])
        await eventually(lambda: blocked_by(scheduler, "t0"))
        summary = (await explained(scheduler, "t0")).summary
        owner = f"wide@{first.epoch[0]}.{first.epoch[1]}.{first.number}"
        assert summary == f"It waits for claims: {owner} holds src/**."
        for number in range(len(task_ids) + 1):
            attempts = await agent.has(number + 1)
            assert len(attempts) == number + 1
            held = {claim.owner.partition("@")[0] for claim in await conflicts.listed("mode = EXCLUSIVE")}
            assert held <= {attempts[number].task_id}
            await agent.succeed(attempts[number])
        for task_id in task_ids:
            await scheduler.reaches(task_id, "SUCCEEDED")
    await eventually(lambda: holds_nothing(conflicts))


async def test_readers_run_side_by_side(scheduler: Scheduler) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("a", "b", claims=[glob("src/**", mode=ClaimSpec.MODE_SHARED)])
        await agent.has(2)


async def test_what_one_service_refuses_is_given_back_to_the_other(
    scheduler: Scheduler, conflicts: Conflicts, resources: Resources
) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("greedy", claims=[file("a")], resources={"cpu": 800})
        (greedy,) = await agent.has(1)
        await scheduler.submit("hungry", claims=[file("b")], resources={"cpu": 800})

        async def is_short() -> bool:
            return bool((await explained(scheduler, "hungry")).missing_resources)

        await eventually(is_short)

        async def holds_a_alone() -> bool:
            return [claim.thing.name for claim in await conflicts.listed()] == ["a"]

        await eventually(holds_a_alone)  # whoever waits for resources keeps no claim meanwhile
        await agent.succeed(greedy)
        await agent.has(2)


async def test_an_attempt_that_lost_one_of_its_claims_is_taken_from_its_agent(
    scheduler: Scheduler, conflicts: Conflicts
) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("t", claims=[file("a"), file("b")])
        (first,) = await agent.has(1)
        await agent.start(first)
        lost = next(claim for claim in await conflicts.listed() if claim.thing.name == "a")
        await conflicts.release(lost.claim_id)
        await eventually(lambda: first.key in agent.cancelled)
        again = (await agent.has(2))[1]
        assert again.key > first.key


async def test_a_task_that_is_cancelled_while_it_waits_holds_nothing(
    scheduler: Scheduler, conflicts: Conflicts
) -> None:
    (number,) = await conflicts.acquire("somebody", "a")
    async with scheduler.agent():
        await scheduler.submit("t", claims=[file("a")])
        await eventually(lambda: blocked_by(scheduler, "t"))
        await scheduler.tasks.CancelTask(task_api.CancelTaskRequest(task_id="t"))
        await scheduler.reaches("t", "CANCELLED")
        await conflicts.release(number)
        await conflicts.acquire("next", "a")


async def test_without_the_conflicts_service_tasks_that_claim_nothing_run_on(
    store: MemoryStore, resources: Resources
) -> None:
    peers = Peers(addresses={"conflicts": "127.0.0.1:1", "resources": f"127.0.0.1:{resources.port}"})
    settings = SchedulerSettings(grant_renewal_ms=400)
    async with (
        running_scheduler(store, clock=SystemClock(), peers=peers, settings=settings) as scheduler,
        scheduler.agent() as agent,
    ):
        await scheduler.submit("claims", claims=[file("a")])
        await scheduler.submit("needs", resources={"cpu": 100})
        (attempt,) = await agent.has(1)
        assert attempt.task_id == "needs"

        async def says_why() -> bool:
            summary = (await explained(scheduler, "claims")).summary
            return summary == "It waits for the conflicts service, which does not answer."

        await eventually(says_why)


async def test_bad_claims_are_refused_by_their_field(scheduler: Scheduler) -> None:
    refused = await failure_of(
        scheduler.submit("t", claims=[ClaimSpec(name="a"), file(""), file("x" * 1025), glob("a", mode=9)])  # type: ignore[arg-type]
    )
    assert refused.reason == "INVALID_ARGUMENT"
    assert [field.rpartition("claims")[2] for field, _ in refused.violations] == [
        "[0].kind",
        "[1].name",
        "[2].name",
        "[3].mode",
    ]


async def test_a_service_that_is_gone_ends_no_attempt_that_holds_nothing_of_it(store: MemoryStore) -> None:
    clock, settings = SystemClock(), SchedulerSettings(grant_renewal_ms=200)
    async with AsyncExitStack() as gone, AsyncExitStack() as rest:
        conflicts = await rest.enter_async_context(running_conflicts(store, clock=clock))
        resources = await gone.enter_async_context(running_resources(store, clock=clock))
        ports = {"conflicts": conflicts.port, "resources": resources.port}
        peers = Peers(addresses={name: f"127.0.0.1:{port}" for name, port in ports.items()})
        scheduler = await rest.enter_async_context(
            running_scheduler(store, clock=clock, peers=peers, settings=settings)
        )
        editor = await rest.enter_async_context(scheduler.agent("editor"))
        eater = await rest.enter_async_context(scheduler.agent("eater"))
        await scheduler.submit("edits", claims=[file("a")], target_agent_id="editor")
        await scheduler.submit("eats", resources={"cpu": 300}, target_agent_id="eater")
        await editor.has(1)
        (eats,) = await eater.has(1)
        await _is_confirmed(eater, 1)
        await gone.aclose()
        host = scheduler.service.host
        await eventually(lambda: host.moment().now - host.session.renewals["resources"] > 2 * settings.grant_renewal_ms)
        await eater.say(renew=True, renewal_number=2)
        await _is_confirmed(editor, 2)
        await eater.succeed(eats)
        assert max(each.confirmed_renewal for each in eater.responses) == 1


async def _is_confirmed(agent: ScriptedAgent, number: int) -> None:
    await agent.say(renew=True, renewal_number=number)
    await eventually(lambda: max(each.confirmed_renewal for each in agent.responses) == number)

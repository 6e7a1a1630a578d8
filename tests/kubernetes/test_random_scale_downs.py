"""Random scale-downs of pools whose agents are busy: nobody who works is removed, and no task is lost."""

from __future__ import annotations

import asyncio
import random
from typing import NamedTuple

import pytest

from support.kubernetes_objects import Namespace
from support.long_form import IS_LONG
from support.scaled_pools import Load, ScaledPools, load, scaled_pools
from support.simulated_agents import Asked, SimulatedAgents, all_asked, simulated_agents
from tercio import TaskState
from tercio.testing import running_fleet

LEAST, MOST = 1, 8
DRAIN_S = 30
POOLS = 10
TIMES = 100 if IS_LONG else 10
"""Scale-downs of each pool: a thousand in all in the long form, a hundred otherwise."""
MOST_OTHERS = 0.5
"""Of those that left, the most that may have been at work when they were told to end, and then finished first.

Where ten programs want a core, the ReplicaSet controller reads late who was chosen; were it alone, most would be.
"""


class Outcome(NamedTuple):
    """What came of a run: how many were chosen, the agents, and the tasks."""

    left: int
    agents: SimulatedAgents
    tasks: Load


async def scale_at_random(pools: ScaledPools, pool: str, *, times: int, dice: random.Random) -> int:
    """Scale a pool up and down until it was scaled down so often; return how many agents were to leave."""
    present, left = LEAST, 0
    while times:
        wanted = dice.randint(LEAST, present - 1) if present > LEAST else dice.randint(LEAST + 1, MOST)
        reply = await pools.scale(pool, wanted)
        assert reply.pool.status.desired_count == wanted
        if wanted < present:
            times -= 1
            left += present - wanted
            assert len(reply.agent_ids) <= present - wanted  # fewer when another one than the chosen is leaving
        present = wanted
    return left


async def run(namespace: Namespace, *, driver: str, names: list[str], times: int, seed: int) -> Outcome:
    """Scale pools of busy agents down, `times` each, all at once."""
    async with (
        running_fleet() as fleet,
        scaled_pools(namespace, fleet.address) as pools,
        simulated_agents(namespace, address=fleet.address, grace_s=DRAIN_S, seed=seed) as agents,
        fleet.client() as client,
        load(client, agents=len(names) * (LEAST + MOST) // 2) as tasks,
    ):
        applying = [pools.apply(name, least=LEAST, most=MOST, drain_s=DRAIN_S, driver=driver) for name in names]
        await asyncio.gather(*applying)
        scaling = [scale_at_random(pools, name, times=times, dice=random.Random(f"{seed} {name}")) for name in names]
        left = sum(await asyncio.gather(*scaling))
    told, marked = len(agents.told_busy), sum(agents.told_busy.values())
    print(f"{left} agents left, {tasks.submitted} tasks, {told} told while busy, {marked} of them chosen")  # noqa: T201
    return Outcome(left, agents, tasks)


@pytest.mark.timeout(3_600)
async def test_random_scale_downs_of_deployments_remove_nobody_who_works_and_lose_no_task(
    namespace: Namespace, kubeconfig: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("TERCIO_SCALING__KUBERNETES__KUBECONFIG", kubeconfig)
    seen: dict[str, list[Asked]] = {}
    watching = asyncio.create_task(all_asked(namespace, seen))
    names = [f"crew-{number}" for number in range(POOLS)]
    left, agents, tasks = await run(namespace, driver="deployment", names=names, times=TIMES, seed=seed)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert tasks.states == {TaskState.SUCCEEDED: tasks.submitted}
    assert agents.removed_busy == []
    assert len(agents.told_busy) <= left * MOST_OTHERS
    assert seen.keys() == set(names)
    assert all(LEAST <= asked.replicas <= MOST for of_one in seen.values() for asked in of_one)


@pytest.mark.timeout(1_200)
async def test_nobody_is_even_told_to_end_while_at_work_where_single_pods_are_removed(
    namespace: Namespace, kubeconfig: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("TERCIO_SCALING__KUBERNETES__KUBECONFIG", kubeconfig)
    names = [f"crew-{number}" for number in range(POOLS // 2)]
    _, agents, tasks = await run(namespace, driver="pods", names=names, times=20 if IS_LONG else 5, seed=seed)
    assert tasks.states == {TaskState.SUCCEEDED: tasks.submitted}
    assert agents.removed_busy == []
    assert agents.told_busy == {}

"""A thousand random scale-downs of pools whose agents are busy: nobody who works is removed, and no task is lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from support.kubernetes_objects import Namespace
from support.scaled_pools import ScaledPools, load, scaled_pools
from support.simulated_agents import Asked, all_asked, simulated_agents
from tercio import TaskState
from tercio.testing import running_fleet

SCALE_DOWNS = 1_000
POOLS = 10
LEAST, MOST = 1, 8
DRAIN_S = 30
MOST_OTHERS = 0.1
"""Of those that left, the most that the ReplicaSet controller may have chosen itself: where ten programs want a core,
it reads late who was chosen."""


async def scale_at_random(pools: ScaledPools, pool: str, *, times: int, dice: random.Random) -> int:
    """Scale a pool up and down until it was scaled down so often; return how many agents were chosen to leave."""
    present, chosen = LEAST, 0
    while times:
        wanted = dice.randint(LEAST, present - 1) if present > LEAST else dice.randint(LEAST + 1, MOST)
        reply = await pools.scale(pool, wanted)
        assert reply.pool.status.desired_count == wanted
        if wanted < present:
            times -= 1
            chosen += present - wanted
            assert len(reply.agent_ids) <= present - wanted  # fewer when another one than the chosen is leaving
        present = wanted
    return chosen


@pytest.mark.timeout(3_600)
async def test_a_thousand_scale_downs_remove_nobody_who_works_and_lose_no_task(
    namespace: Namespace, kubeconfig: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("TERCIO_SCALING__KUBERNETES__KUBECONFIG", kubeconfig)
    seen: dict[str, list[Asked]] = {}
    watching = asyncio.create_task(all_asked(namespace, seen))
    async with (
        running_fleet() as fleet,
        scaled_pools(namespace, fleet.address) as pools,
        simulated_agents(namespace, address=fleet.address, grace_s=DRAIN_S, seed=seed) as agents,
        fleet.client() as client,
        load(client, agents=POOLS * (LEAST + MOST) // 2) as tasks,
    ):
        names = [f"crew-{number}" for number in range(POOLS)]
        await asyncio.gather(*(pools.apply(name, least=LEAST, most=MOST, drain_s=DRAIN_S) for name in names))
        left = await asyncio.gather(
            *(
                scale_at_random(pools, name, times=SCALE_DOWNS // POOLS, dice=random.Random(f"{seed} {name}"))
                for name in names
            )
        )
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    print(f"{sum(left)} agents left, {tasks.submitted} tasks, {len(agents.told_busy)} told while busy")  # noqa: T201
    assert tasks.states == {TaskState.SUCCEEDED: tasks.submitted}
    assert agents.removed_busy == []
    # Who was chosen had finished. The controller may have taken another one all the same, which then finished first.
    assert not any(agents.told_busy.values())
    assert len(agents.told_busy) <= sum(left) * MOST_OTHERS
    assert seen.keys() == set(names)
    assert all(LEAST <= asked.replicas <= MOST for of_one in seen.values() for asked in of_one)

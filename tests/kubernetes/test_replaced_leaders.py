"""A leader of scaling is killed, or paused for twice its lease, and replaced in the middle of a scale: one result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.api_server_proxy import ApiServerProxy, Exchange, Gate, passing
from support.etcd_server import EtcdServer
from support.kubernetes_fleet import LEASE, SCALING, ScalingFleet, scaling_fleet
from support.kubernetes_objects import Namespace
from support.processes import ServerProcess
from support.scaled_pools import Load, ScaledPools, load, scaled_pools
from support.simulated_agents import Asked, SimulatedAgents, all_asked, simulated_agents
from tercio import Client, TaskState
from tercio_common.testing.eventually import eventually
from tercio_scaling.drivers.fencing import epoch_of

POOL, LEAST, BEFORE, AFTER, MOST = "crew", 1, 6, 2, 8
DRAIN_S = 30
TTL_S = LEASE["TTL_MS"] / 1_000

Harm = Callable[[ServerProcess, Gate], Any]


class Run:
    """A pool of busy agents, and what is seen of it."""

    def __init__(self, fleet: ScalingFleet, namespace: Namespace) -> None:
        self.fleet = fleet
        self.namespace = namespace
        self.asked: dict[str, list[Asked]] = {}
        self.pools: ScaledPools
        self.agents: SimulatedAgents
        self.tasks: Load
        self._open = AsyncExitStack()

    async def begin(self, seed: int) -> None:
        """Have the pool at work."""
        enter, namespace = self._open.enter_async_context, self.namespace
        address = self.fleet.replicas.address
        watching = asyncio.create_task(all_asked(namespace, self.asked))
        self._open.push_async_callback(asyncio.gather, watching, return_exceptions=True)
        self._open.callback(watching.cancel)
        self.pools = await enter(scaled_pools(namespace, address))
        self.agents = await enter(simulated_agents(namespace, address=None, grace_s=DRAIN_S, seed=seed))
        client = await enter(Client())
        await self.pools.apply(POOL, least=LEAST, most=MOST, drain_s=DRAIN_S)
        await self.pools.scale(POOL, BEFORE)
        self.tasks = await enter(load(client, agents=BEFORE))
        await eventually(lambda: sum(self.agents.busy.values()) >= BEFORE - 1)

    async def end(self) -> None:
        """Let what was begun come to its end."""
        await self._open.aclose()

    async def settled(self) -> None:
        """Wait until there are as many as were asked for."""

        async def asked() -> bool:
            return (await self.namespace.deployment(POOL))["spec"]["replicas"] == AFTER

        await eventually(asked)
        await self.namespace.until_running(AFTER)

        async def told() -> bool:
            status = (await self.pools.pool(POOL)).status
            return (status.desired_count, status.ready_count, len(status.victims)) == (AFTER, AFTER, 0)

        await eventually(told)

    def violations(self) -> list[str]:
        """Return what is wrong with what was seen, in words."""
        seen = [asked.replicas for asked in self.asked[POOL]]
        epochs = [asked.epoch for asked in self.asked[POOL]]
        down = seen[seen.index(BEFORE) :]
        found = [f"replicas {number} of {seen}" for number in seen if not LEAST <= number <= MOST]
        found += [f"up again: {down}" for before, after in pairwise(down) if after > before]
        found += [f"epoch {after} after {before}" for before, after in pairwise(epochs) if after < before]
        found += [f"{name} was removed with work" for name in self.agents.removed_busy]
        return found


@pytest.fixture
async def fleet(
    start_etcd: Callable[..., EtcdServer], kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ScalingFleet]:
    async with scaling_fleet(start_etcd(), kubeconfig, tmp_path, monkeypatch) as started:
        yield started


@pytest.fixture
async def run(fleet: ScalingFleet, namespace: Namespace) -> AsyncIterator[Run]:
    made = Run(fleet, namespace)
    yield made
    await made.end()


async def kill(leader: ServerProcess, gate: Gate) -> None:
    leader.kill()
    gate.open()


async def pause_for_twice_its_lease(leader: ServerProcess, gate: Gate) -> None:
    leader.pause()
    await asyncio.sleep(2 * TTL_S)
    gate.open()
    leader.resume()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("harm", [kill, pause_for_twice_its_lease])
@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        pytest.param("PATCH", "/pods/", False, id="before-its-victims-are-marked"),
        pytest.param("PATCH", "/deployments/", False, id="before-its-patch-arrives"),
        pytest.param("PATCH", "/deployments/", True, id="before-it-hears-of-its-patch"),
    ],
)
async def test_a_leader_replaced_in_the_middle_of_a_scale_leaves_one_result(
    run: Run, seed: int, harm: Harm, method: str, path: str, answer: bool
) -> None:
    await asyncio.gather(run.fleet.add(), run.fleet.add())
    await run.begin(seed)
    leader, term = await run.fleet.replicas.leader_after(None)
    gate = Gate(answer=answer)
    run.fleet.proxies[leader.address].do(gate, method, path, times=1)
    await run.pools.scale(POOL, AFTER, wait=False)
    await gate.held.wait()
    await harm(leader, gate)
    _, term = await run.fleet.replicas.leader_after(term)
    await run.settled()
    await run.end()
    assert run.violations() == []
    assert run.tasks.states == {TaskState.SUCCEEDED: run.tasks.submitted}
    assert epoch_of(await run.namespace.deployment(POOL)) >= term.epoch  # where all are slow, one more may have led


async def stale_run(run: Run, seed: int, module: str) -> Sequence[Exchange]:
    """Stop a leader between reading the Deployment and writing it until another has scaled; return its late patches."""
    stale, proxy = await run.fleet.add(module)
    await run.fleet.add()
    await run.begin(seed)
    leader, term = await run.fleet.replicas.leader_after(None)
    assert leader is stale
    gate = Gate(answer=True)

    async def arm(proxy: ApiServerProxy, request: web.Request, body: bytes) -> web.StreamResponse:
        proxy.do(gate, "GET", "/deployments/", times=1)
        return await passing(proxy, request, body)

    proxy.do(arm, "PATCH", "/pods/", times=1)
    await run.pools.scale(POOL, AFTER, wait=False)
    await gate.held.wait()
    stale.pause()
    before = len(proxy.passed("PATCH", "/deployments/"))
    await run.fleet.replicas.leader_after(term)
    await run.settled()
    gate.open()
    stale.resume()
    if module == SCALING:
        await asyncio.sleep(TTL_S)
    else:
        await eventually(lambda: len(proxy.passed("PATCH", "/deployments/")) > before)
    late = proxy.passed("PATCH", "/deployments/")[before:]
    await run.end()
    return late


@pytest.mark.timeout(600)
async def test_the_patch_of_a_leader_that_does_not_notice_reaches_the_api_server_and_is_refused(
    run: Run, seed: int
) -> None:
    late = await stale_run(run, seed, "support.deaf_scaling")
    print(f"stale patches refused: {len(late)}")  # noqa: T201
    assert late
    assert {patch.status for patch in late} == {409}
    assert run.violations() == []
    assert run.tasks.states == {TaskState.SUCCEEDED: run.tasks.submitted}


@pytest.mark.timeout(600)
async def test_nothing_of_a_leader_as_shipped_counts_after_it_was_replaced(run: Run, seed: int) -> None:
    late = await stale_run(run, seed, SCALING)
    assert {patch.status for patch in late} <= {409}
    assert run.violations() == []
    assert run.tasks.states == {TaskState.SUCCEEDED: run.tasks.submitted}


@pytest.mark.timeout(600)
async def test_without_the_version_in_its_patch_the_stale_scale_shows(run: Run, seed: int) -> None:
    late = await stale_run(run, seed, "support.unfenced_scaling")
    assert [patch.status for patch in late][:1] == [200]
    broken = run.violations()
    assert any(violation.startswith("epoch ") for violation in broken)

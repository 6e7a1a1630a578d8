"""Tasks that need resources, while leaders of both services are killed.

The agents add up what runs at once: that is what a pool must bound, whoever thinks what of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from support.holders import CAPACITY, SETTINGS
from support.processes import RESOURCES, Fleet, fleet_on
from tercio import Agent, Client, Context, TaskHandle
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio_common.testing.chaos.processes import NOTHING_THERE
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import allocation_checks, judge, recorded

_NEEDS = (100, 300, 600)
_TASKS, _AGENTS = 120, 3
_QUIET_MS = 60_000


class _Gauge:
    """How much runs at once, and the most that ever did."""

    def __init__(self) -> None:
        self.now = self.most = self.ended = 0

    async def run(self, context: Context) -> None:
        amount = int(context.payload)
        self.now += amount
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.05)
        finally:
            self.now -= amount
            self.ended += 1


@pytest.fixture
async def pools(start_etcd: Callable[..., EtcdServer], tmp_path: Path) -> AsyncIterator[Fleet]:
    folder = tmp_path / "resources"
    folder.mkdir()
    async with fleet_on(start_etcd(fsync=False).endpoints, folder=folder, service="resources") as running:
        await running.add_all(2, module=RESOURCES, settings=SETTINGS)
        yield running


@pytest.fixture
async def schedulers(start_etcd: Callable[..., EtcdServer], tmp_path: Path, pools: Fleet) -> AsyncIterator[Fleet]:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    async with fleet_on(start_etcd(fsync=False).endpoints, folder=folder) as running:
        await running.add_all(2, settings={"TERCIO_RESOURCES_ADDRESS": pools.address})
        yield running


@pytest.mark.timeout(150)
async def test_what_runs_fits_the_pool_and_nothing_stays_held_when_both_leaders_are_killed(
    pools: Fleet, schedulers: Fleet, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERCIO_SCHEDULER_ADDRESS", schedulers.address)
    monkeypatch.setenv("TERCIO_REGISTRY_ADDRESS", NOTHING_THERE)
    gauge = _Gauge()
    agents = [Agent(agent_id=f"a{number}", concurrency=4) for number in range(_AGENTS)]
    for agent in agents:
        agent.task("work")(gauge.run)
    running = [asyncio.create_task(agent.run()) for agent in agents]
    try:
        async with recorded(pools.journal, recording), Client() as client:
            needs = [_NEEDS[number % len(_NEEDS)] for number in range(_TASKS)]
            handles: list[TaskHandle] = [
                await client.submit("work", amount, resources={"cpu": amount}) for amount in needs
            ]
            await _kill_leader_after(schedulers, gauge, _TASKS // 4)
            await _kill_leader_after(pools, gauge, _TASKS // 2)
            await asyncio.wait_for(asyncio.gather(*handles), 100)
            await eventually(lambda: _is_empty(pools), within_ms=_QUIET_MS)
    finally:
        for agent in agents:
            agent.stop()
        await asyncio.gather(*running, return_exceptions=True)
    assert 0 < gauge.most <= CAPACITY
    assert judge(recording, service="resources", also=allocation_checks()).demand().epochs == 2


async def _kill_leader_after(fleet: Fleet, gauge: _Gauge, ended: int) -> None:
    await eventually(lambda: gauge.ended >= ended, within_ms=_QUIET_MS)
    leader, _ = await fleet.leader_after(None)
    leader.kill()


async def _is_empty(pools: Fleet) -> bool:
    channels = Channels()
    try:
        remote = Remote(Route(channels, pools.address.split(",")), ResourceServiceStub)
        response = await remote.unary(lambda stub: stub.GetPool, pb.GetPoolRequest(pool_id="cpu"))
        return not response.pool.granted
    finally:
        await channels.close()

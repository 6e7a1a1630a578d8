"""Scheduler, registry and scaling as processes on one etcd, with agents on a ground, and what cuts scaling off."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from support.etcd_server import EtcdServer
from support.ground import GROUND, TASK_TYPE, Ground, ground
from support.processes import REGISTRY, SCALING, SCHEDULER, Fleet, ServerProcess, fleet_on
from tercio import Client, TaskHandle
from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio_common.testing.chaos.proxy import Proxy
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import (
    CUT_OFF,
    RECONNECTED,
    Observation,
    Recorder,
    Verdict,
    judge,
    recorded,
    scaling_checks,
)

POOL, LEAST, MOST = "crew", 1, 4
STALE_MS = 1_500
WINDOW_S = 6.0
"""Longer than what is seen stays fresh, so that nothing is due when an outage begins."""
_SETTINGS = {
    "TERCIO_SCALING__OBSERVE_MS": "200",
    "TERCIO_SCALING__SETTLE_MS": "20",
    "TERCIO_SCALING__STALE_MS": str(STALE_MS),
    "TERCIO_SCALING__CHECK_MS": "500",
}
_BEATS = {"TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS": "500"}
_SOON_MS = 30_000
_PATIENCE_S = 30.0


@dataclass(slots=True, kw_only=True)
class ScaledFleet:
    """What runs, and a hand on each of its parts."""

    etcd: EtcdServer
    scaling: Fleet
    ground: Ground
    ways: dict[str, Proxy]
    """From the scaling service to `scheduler`, `registry` and `driver`."""
    client: Client
    channels: Channels
    remote: Remote[Any]
    recorder: Recorder
    settings: Mapping[str, str]
    """Of each replica of scaling."""

    async def add_replica(self, module: str) -> ServerProcess:
        """Start another replica of scaling; calls find it from now on."""
        replica = await self.scaling.add(module, settings=self.settings)
        self.remote = _remote(self.channels, self.scaling)
        return replica

    async def declare(self) -> None:
        """Apply the pool."""
        pool = agent_pool_pb2.AgentPool(
            pool_id=POOL,
            min_agents=LEAST,
            max_agents=MOST,
            up_step=MOST,
            down_step=MOST,
            added=agent_pool_pb2.AgentPool.Added(name="ground", spec_json="{}"),
            drain_limit=_of(20),
            cooldown=_of(0),
            window=_of(WINDOW_S),
            sustained=_of(WINDOW_S),
            wait_target=_of(0.1),
        )
        request = pb.ApplyPoolRequest(request_id=uuid.uuid4().hex, pool=pool)
        await self.remote.unary(lambda stub: stub.ApplyPool, request, timeout_s=_PATIENCE_S)

    async def scale(self, agents: int) -> None:
        """Decide the number by hand."""
        request = pb.ScalePoolRequest(request_id=uuid.uuid4().hex, pool_id=POOL, agents=agents, reason="by hand")
        await self.remote.unary(lambda stub: stub.ScalePool, request, timeout_s=_PATIENCE_S)

    async def submit(self, count: int, *, ms: int) -> list[TaskHandle]:
        """Have that many tasks that take so long."""
        tasks = [self.client.enqueue(TASK_TYPE, str(ms)) for _ in range(count)]
        for task in tasks:
            await task.accepted()
        return tasks

    async def until(self, agents: int) -> None:
        """Wait until as many agents are asked for, and whoever leaves has left."""
        await eventually(
            lambda: self.ground.staying == self.ground.asked == agents and self.ground.all_gone, within_ms=_SOON_MS
        )

    async def busy_and_done(self) -> None:
        """Have as many agents as there may be, with nothing to do from now on."""
        tasks = await self.submit(3 * MOST, ms=300)
        await eventually(lambda: self.ground.asked == MOST, within_ms=_SOON_MS)
        await ended(tasks)
        await eventually(self._is_seen_idle, within_ms=_SOON_MS)

    async def status(self) -> agent_pool_pb2.AgentPool.Status:
        """Return how the pool is."""
        request = pb.GetPoolRequest(pool_id=POOL)
        reply: pb.GetPoolResponse = await self.remote.unary(lambda stub: stub.GetPool, request, timeout_s=_PATIENCE_S)
        return reply.pool.status

    async def _is_seen_idle(self) -> bool:
        seen = (await self.status()).observation
        return bool(seen.ready_count == MOST and not (seen.running_count or seen.waiting_count))

    def note(self, kind: str, what: str) -> None:
        self.recorder.observe(Observation(kind, what, asked_ms=time.time_ns() // 1_000_000))

    @contextlib.asynccontextmanager
    async def without(self, what: str) -> AsyncIterator[None]:
        """Cut the scaling service off from something."""
        self.note(CUT_OFF, what)
        self.ways[what].partition()
        yield
        self.ways[what].heal()
        self.note(RECONNECTED, what)


async def ended(tasks: list[TaskHandle]) -> None:
    """Wait for the results of tasks, none of which was done twice."""
    for task in tasks:
        assert await task.result() == b"done"


def judged(recording: Path) -> Verdict:
    """Return what the run shows."""
    return judge(recording, service="scaling", also=scaling_checks(stale_ms=STALE_MS))


@contextlib.asynccontextmanager
async def scaled_fleet(
    etcd: EtcdServer, folder: Path, environment: pytest.MonkeyPatch, *, modules: tuple[str, ...] = (SCALING,)
) -> AsyncIterator[ScaledFleet]:
    """Run it with a replica of scaling for each module, record it to `recording`, and end all of it."""
    async with contextlib.AsyncExitStack() as stack:
        fleets = {
            name: await stack.enter_async_context(fleet_on(etcd.endpoints, folder=folder, service=name))
            for name in ("registry", "scheduler", "scaling")
        }
        registry = await fleets["registry"].add(REGISTRY, settings=_BEATS)
        scheduler = await fleets["scheduler"].add(SCHEDULER, settings={"TERCIO_REGISTRY_ADDRESS": registry.address})
        environment.setenv("TERCIO_SCHEDULER_ADDRESS", scheduler.address)
        environment.setenv("TERCIO_REGISTRY_ADDRESS", registry.address)
        recorder = await stack.enter_async_context(recorded(fleets["scaling"].journal, folder / "recording"))
        land, address = await stack.enter_async_context(ground(recorder.observe))
        targets = {"scheduler": scheduler.address, "registry": registry.address, "driver": address}
        ways = {name: await stack.enter_async_context(Proxy(target)) for name, target in targets.items()}
        settings = {
            **_SETTINGS,
            GROUND: ways["driver"].address,
            "TERCIO_SCHEDULER_ADDRESS": ways["scheduler"].address,
            "TERCIO_REGISTRY_ADDRESS": ways["registry"].address,
        }
        for module in modules:
            await fleets["scaling"].add(module, settings=settings)
        channels = Channels()
        stack.push_async_callback(channels.close)
        client = await stack.enter_async_context(Client())
        yield ScaledFleet(
            etcd=etcd,
            scaling=fleets["scaling"],
            ground=land,
            ways=ways,
            client=client,
            channels=channels,
            remote=_remote(channels, fleets["scaling"]),
            recorder=recorder,
            settings=settings,
        )


def _remote(channels: Channels, scaling: Fleet) -> Remote[Any]:
    return Remote(Route(channels, scaling.address.split(",")), ScalingServiceStub)


def _of(seconds: float) -> Duration:
    return Duration(nanos=round(seconds * 1e9)) if seconds < 1 else Duration(seconds=round(seconds))

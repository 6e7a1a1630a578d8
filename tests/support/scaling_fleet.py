"""A scheduler, a registry and a scaling service behind real gRPC, whose agents are real processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from support.registry import Registry, running_registry
from support.scheduler_service import Scheduler, running_scheduler
from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb2
from tercio_common.clock import SystemClock
from tercio_common.composition import Ports, Service
from tercio_common.ids import SeededIds
from tercio_common.journal.memory import MemoryStore
from tercio_common.machine.calls import Call
from tercio_common.peers import Peers
from tercio_common.rpc.server import start_server
from tercio_common.settings import HostSettings, ServerSettings
from tercio_common.testing.chaos.proxy import Proxy
from tercio_common.testing.eventually import eventually
from tercio_registry.settings import RegistrySettings
from tercio_scaling import app
from tercio_scaling.drivers.catalogue import Drivers
from tercio_scaling.drivers.local_settings import LocalSettings
from tercio_scaling.drivers.protocol import Target, View
from tercio_scaling.settings import ScalingSettings
from tercio_scaling.state.commands import ApplyPool, DeletePool
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.rows import EventKind, EventRow, PoolRow, StateRow
from tercio_scheduler.settings import SchedulerSettings

QUICK = ScalingSettings(
    observe_ms=200, settle_ms=20, stale_ms=2_000, check_ms=500, local=LocalSettings(close_grace_ms=2_000, restart_ms=50)
)
REGISTRY = RegistrySettings(heartbeat_interval_ms=300)
SCHEDULER = SchedulerSettings(attempt_lease_ms=2_000)
POOL = AgentPool(
    "pool", slots=1, least=1, most=4, up_step=4, down_step=4, cooldown=0, window=200, sustained=400, wait_target=100
)
OPERATOR = Call("local", "test")
AGENT = [sys.executable, "-m", "tercio.cli", "agent", "exec", "--allow-commands"]


@dataclass(slots=True, eq=False)
class ScalingFleet:
    """What runs, and a hand on each of its parts."""

    scheduler: Scheduler
    registry: Registry
    service: Service
    drivers: Drivers

    @property
    def address(self) -> dict[str, str]:
        return {
            "TERCIO_SCHEDULER_ADDRESS": f"127.0.0.1:{self.scheduler.port}",
            "TERCIO_REGISTRY_ADDRESS": f"127.0.0.1:{self.registry.port}",
        }

    def row(self, pool: AgentPool = POOL, *, directory: str = "", **fields: Any) -> PoolRow:
        """Return a pool of local agents that run commands."""
        spec = json.dumps({"command": AGENT, "environment": self.address, "directory": directory})
        return PoolRow(pool.pool_id, pool, "local", spec, **{"drain_limit": 20_000, **fields})

    async def apply(self, row: PoolRow) -> None:
        await self.execute(ApplyPool(row))

    async def delete(self, pool_id: str = "pool") -> None:
        await self.execute(DeletePool(pool_id))

    async def execute(self, command: Any) -> None:
        await self.service.host.execute(command, call=OPERATOR, render=lambda _: b"")

    def state(self, pool_id: str = "pool") -> StateRow:
        row: StateRow = self.service.host.machine.tables.states[pool_id]
        return row

    def events(self, *kinds: EventKind, pool_id: str = "pool") -> list[EventRow]:
        found = [row for row in self.service.host.machine.tables.events.values() if row.pool_id == pool_id]
        return sorted([row for row in found if not kinds or row.kind in kinds], key=lambda row: row.number)

    def working(self, pool_id: str = "pool") -> set[str]:
        """Return the agents of a pool that are given work, as the scheduler sees them."""
        links = self.scheduler.service.host.session.connected()
        return {link.agent_id for link in links if link.takes_work and link.agent_id.startswith(f"{pool_id}-")}

    async def until(self, agents: int, *, within_ms: int = 30_000) -> set[str]:
        """Wait until as many agents take work, and no others are chosen to leave."""
        await eventually(lambda: len(self.working()) == agents and not self.state().victims, within_ms=within_ms)
        return self.working()

    async def submit(self, *task_ids: str, seconds: float) -> None:
        """Submit commands that sleep."""
        payload = json.dumps({"argv": ["sleep", str(seconds)]}).encode()
        await self.scheduler.submit(*task_ids, task_type="command", payload=payload)

    async def view(self) -> View:
        """Return what the driver of the pool has."""
        driver = self.drivers.get("local")
        return await driver.view(Target("pool", {}, 0))

    async def cordon(self, agent_id: str, *, reason: str) -> None:
        await self.registry.stub.CordonAgent(
            registry_pb2.CordonAgentRequest(agent_id=agent_id, cordoned=True, reason=reason)
        )

    async def agent(self, agent_id: str) -> agent_pb2.Agent:
        return await self.registry.get(agent_id)


@contextlib.asynccontextmanager
async def scaling_on(
    scheduler: Scheduler,
    registry: Registry,
    *,
    store: MemoryStore,
    settings: ScalingSettings = QUICK,
    through: Mapping[str, str] | None = None,
) -> AsyncIterator[ScalingFleet]:
    """Serve one replica of scaling from the moment at which it leads; at the end its agents are gone.

    It reaches the others at the addresses in `through`, by default directly, as agents do.
    """
    clock = SystemClock()
    direct = {"scheduler": f"127.0.0.1:{scheduler.port}", "registry": f"127.0.0.1:{registry.port}"}
    peers, drivers = Peers(addresses={**direct, **(through or {})}), Drivers(settings, clock)
    service = app.build(
        Ports(
            clock=clock,
            ids=SeededIds(1),
            journal=store.journal(app.NAME),
            election=store.election(app.NAME),
            address="127.0.0.1:0",
            host_settings=HostSettings(),
            settings=settings,
            peers=peers,
        ),
        drivers=drivers,
    )
    server = await start_server([service], settings=ServerSettings(port=0), clock=clock)
    service.host.address = f"127.0.0.1:{server.port}"
    running = asyncio.create_task(service.host.run())
    try:
        await eventually(lambda: service.host.leading)
        async with grpc.aio.insecure_channel(service.host.address):
            yield ScalingFleet(scheduler, registry, service, drivers)
    finally:
        await service.host.drain()
        await asyncio.wait({running}, timeout=10)
        await server.close(grace_ms=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def scaling_fleet(*, proxies: Mapping[str, Proxy] | None = None) -> AsyncIterator[ScalingFleet]:
    """Run all three on the memory store; scaling reaches the others by way of proxies that are open."""
    proxies = proxies or {}
    clock = SystemClock()
    store = MemoryStore(clock=clock)
    async with (
        running_registry(store, clock=clock, settings=REGISTRY) as registry,
        running_scheduler(
            store,
            clock=clock,
            settings=SCHEDULER,
            peers=Peers(addresses={"registry": f"127.0.0.1:{registry.port}"}),
        ) as scheduler,
    ):
        for name, port in (("scheduler", scheduler.port), ("registry", registry.port)):
            if name in proxies:
                proxies[name].target = f"127.0.0.1:{port}"
        through = {name: proxy.address for name, proxy in proxies.items()}
        async with scaling_on(scheduler, registry, store=store, through=through) as fleet:
            yield fleet

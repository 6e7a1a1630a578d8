"""The fleet that chaos is done to: etcd, replicas of five services, agents, and a proxy on every way between them.

Every replica reaches each member of etcd through a proxy of its own, and is reached by agents, clients and other
replicas through one more, whose address it advertises: so each can be cut off alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tercio_common.clock import SystemClock
from tercio_common.election.port import Leader
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.store import EtcdStore
from tercio_common.testing.chaos import claimants, holders, scalers
from tercio_common.testing.chaos.beating import BeatingAgent
from tercio_common.testing.chaos.etcd_cluster import EtcdCluster
from tercio_common.testing.chaos.processes import NOTHING_THERE, SHORT_LEASE, ChildProcess, ServerProcess
from tercio_common.testing.chaos.proxy import Proxy
from tercio_common.testing.chaos.skewed_clock import WallClock
from tercio_common.testing.history import Violation

LEASE_TTL_S: Final = SHORT_LEASE["TTL_MS"] / 1000
SERVICE: Final = "scheduler"
REGISTRY: Final = "registry"
RESOURCES: Final = "resources"
CONFLICTS: Final = "conflicts"
SCALING: Final = "scaling"
BEAT_INTERVAL_MS: Final = 1_000
"""Short, and long enough for agents of one busy machine to keep it."""
NO_PEERS: Final[Mapping[str, str]] = {}
_REGISTRY_MODULE: Final = "tercio_registry"
_SKEWED: Final = "tercio_common.testing.chaos.skewed_clock"
_AGENT_MODULE: Final = "tercio_common.testing.chaos.agent"
_ATTEMPT_LEASE_MS: Final = 4_000
"""Long enough for a failover, short enough that the work of a dead agent moves on during the run."""
_SNAPSHOTS_A_QUOTA: Final = 16
"""A snapshot is due when this part of the quota was written, so that there is always much to truncate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What a fleet is made of.

    Attributes:
        members: of etcd, 1 or 3.
        replicas: of the scheduler.
        agents: processes with handlers.
        registries: replicas of the registry; without any there are no agents that only beat.
        pools: replicas of the resources service; without any there are no holders.
        claims: replicas of the conflicts service; without any nobody claims.
        scaling: replicas of the scaling service; without any there is no pool of agents.
        module: what is run as the scheduler.
        pools_module: what is run as the resources service.
        claims_module: what is run as the conflicts service.
        scaling_module: what is run as the scaling service.
        quota_bytes: how much etcd takes: small enough to be filled in a moment. A task takes about 1 kB.
        environment: further variables of the replicas.
    """

    members: int = 1
    replicas: int = 3
    agents: int = 3
    registries: int = 2
    pools: int = 2
    claims: int = 2
    scaling: int = 2
    module: str = "tercio_scheduler"
    pools_module: str = "tercio_resources"
    claims_module: str = "tercio_conflicts"
    scaling_module: str = "tercio_scaling"
    quota_bytes: int = 64 << 20
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replica:
    """One replica of a service.

    Attributes:
        process: may be killed and stopped.
        front: the way to it.
        ways_to_store: its way to each member of etcd.
        wall_clock: may be set.
    """

    process: ServerProcess
    front: Proxy
    ways_to_store: tuple[Proxy, ...]
    wall_clock: WallClock


class Fleet:
    """A running fleet; faults find their victims here."""

    def __init__(
        self,
        *,
        etcd: EtcdCluster,
        store: EtcdStore,
        replicas: tuple[Replica, ...],
        registries: tuple[Replica, ...],
        pools: tuple[Replica, ...],
        claims: tuple[Replica, ...],
        scaling: tuple[Replica, ...],
    ) -> None:
        """Describe a fleet; `running_fleet` makes one.

        Args:
            etcd: the cluster.
            store: a way to it that no fault disturbs.
            replicas: the scheduler's.
            registries: the registry's.
            pools: the resources service's.
            claims: the conflicts service's.
            scaling: the scaling service's.
        """
        self.etcd = etcd
        self.store = store
        self.replicas = replicas
        self.registries = registries
        self.pools = pools
        self.claims = claims
        self.scaling = scaling
        self.agents: tuple[ChildProcess, ...] = ()
        self.beating: tuple[BeatingAgent, ...] = ()
        """Agents of the registry, which only beat."""
        self.complaints: list[Violation] = []
        self.accepted: list[str] = []
        """Tasks that a fault submitted and the scheduler accepted."""
        self._leaders: dict[str, Leader] = {}

    @property
    def address(self) -> str:
        """Every replica, as clients and agents are told."""
        return ",".join(self.fronts)

    @property
    def fronts(self) -> tuple[str, ...]:
        """`host:port` at which each replica is reached."""
        return tuple(replica.front.address for replica in self.replicas)

    @property
    def leader(self) -> Replica | None:
        """The scheduler that was last seen to lead."""
        return self._seen_to_lead(SERVICE, self.replicas)

    @property
    def registry_leader(self) -> Replica | None:
        """The registry that was last seen to lead."""
        return self._seen_to_lead(REGISTRY, self.registries)

    @property
    def pools_leader(self) -> Replica | None:
        """The resources service that was last seen to lead."""
        return self._seen_to_lead(RESOURCES, self.pools)

    @property
    def claims_leader(self) -> Replica | None:
        """The conflicts service that was last seen to lead."""
        return self._seen_to_lead(CONFLICTS, self.claims)

    @property
    def scaling_leader(self) -> Replica | None:
        """The scaling service that was last seen to lead."""
        return self._seen_to_lead(SCALING, self.scaling)

    @property
    def everybody(self) -> tuple[Replica, ...]:
        """Every replica of every service."""
        return (*self.replicas, *self.registries, *self.pools, *self.claims, *self.scaling)

    def complain(self, promise: str, check: str, message: str) -> None:
        """Note a promise that was seen to be broken."""
        self.complaints.append(Violation(promise, check, message))

    def ended_by_themselves(self) -> list[str]:
        """Return what there is to say about processes that nobody killed and that ended."""
        processes = [*(replica.process for replica in self.everybody), *self.agents]
        return [
            f"{process.name} ended by itself with code {process.exit_code}; its log ends: {process.log()[-1000:]}"
            for process in processes
            if process.exit_code is not None
        ]

    async def ready(self) -> None:
        """Wait until every member and every replica answers.

        Raises:
            EtcdNotReadyError: a member does not.
            ServerNotReadyError: a replica does not.
        """
        await asyncio.to_thread(self.etcd.wait_until_healthy)
        await asyncio.gather(*(replica.process.ready() for replica in self.everybody))

    async def follow_leader(self, service: str) -> None:
        """Keep up to date who leads, for ever."""
        async for leader in self.store.election(service).observe():
            if leader is not None:
                self._leaders[service] = leader

    def _seen_to_lead(self, service: str, replicas: tuple[Replica, ...]) -> Replica | None:
        leader = self._leaders.get(service)
        return next((one for one in replicas if leader is not None and one.front.address == leader.address), None)


@contextlib.asynccontextmanager
async def running_fleet(plan: FleetPlan, *, binary: Path, folder: Path) -> AsyncIterator[Fleet]:
    """Yield a fleet that answers; at its end nothing of it is left.

    Raises:
        EtcdNotReadyError: etcd does not come up.
        ServerNotReadyError: a replica does not come up.
    """
    async with contextlib.AsyncExitStack() as stack:
        options = [f"--quota-backend-bytes={plan.quota_bytes}"]
        starting = EtcdCluster.started(folder, binary=binary, members=plan.members, options=options)
        etcd = await asyncio.to_thread(stack.enter_context, starting)
        store = EtcdStore(EtcdSettings(endpoints=tuple(etcd.endpoints)), clock=SystemClock(), ttl_ms=2000)
        stack.push_async_callback(store.close)
        replicas = [await _replica(plan.module, plan, etcd, folder, stack) for _ in range(plan.replicas)]
        registries = [await _replica(_REGISTRY_MODULE, plan, etcd, folder, stack) for _ in range(plan.registries)]
        pools = [await _replica(plan.pools_module, plan, etcd, folder, stack) for _ in range(plan.pools)]
        claims = [await _replica(plan.claims_module, plan, etcd, folder, stack) for _ in range(plan.claims)]
        peers = {
            "TERCIO_SCHEDULER_ADDRESS": ",".join([replica.front.address for replica in replicas]),
            "TERCIO_REGISTRY_ADDRESS": ",".join([replica.front.address for replica in registries]),
        }
        module = plan.scaling_module
        scaling = [await _replica(module, plan, etcd, folder, stack, peers=peers) for _ in range(plan.scaling)]
        fleet = Fleet(
            etcd=etcd,
            store=store,
            replicas=tuple(replicas),
            registries=tuple(registries),
            pools=tuple(pools),
            claims=tuple(claims),
            scaling=tuple(scaling),
        )
        for service in (SERVICE, REGISTRY, RESOURCES, CONFLICTS, SCALING):
            following = asyncio.create_task(fleet.follow_leader(service))
            stack.push_async_callback(_end, following)
        await fleet.ready()
        fleet.agents = tuple(_agent(number, fleet, folder, stack) for number in range(plan.agents))
        yield fleet


async def _replica(
    module: str,
    plan: FleetPlan,
    etcd: EtcdCluster,
    folder: Path,
    stack: contextlib.AsyncExitStack,
    *,
    peers: Mapping[str, str] = NO_PEERS,
) -> Replica:
    ways = [await stack.enter_async_context(Proxy(endpoint)) for endpoint in etcd.endpoints]
    front = await stack.enter_async_context(Proxy())
    wall_clock = WallClock(folder / f"wall-clock-{front.address}")
    settings = {
        "TERCIO_SERVER__ADVERTISE": front.address,
        "TERCIO_HOST__SNAPSHOT_BYTES": str(plan.quota_bytes // _SNAPSHOTS_A_QUOTA),
        "TERCIO_SCHEDULER__ATTEMPT_LEASE_MS": str(_ATTEMPT_LEASE_MS),
        "TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS": str(BEAT_INTERVAL_MS),
        **holders.SETTINGS,
        **claimants.SETTINGS,
        **scalers.SETTINGS,
        **peers,
        **wall_clock.environment,
        **plan.environment,
    }
    endpoints = [way.address for way in ways]
    process = ServerProcess(module, folder=folder, endpoints=endpoints, settings=settings, launcher=_SKEWED)
    front.target = process.address
    process.start()
    stack.callback(process.kill)
    return Replica(process=process, front=front, ways_to_store=tuple(ways), wall_clock=wall_clock)


def _agent(number: int, fleet: Fleet, folder: Path, stack: contextlib.AsyncExitStack) -> ChildProcess:
    name = f"agent-{number}"
    environment = {
        "TERCIO_AGENT_ID": name,
        "TERCIO_SCHEDULER_ADDRESS": fleet.address,
        "TERCIO_REGISTRY_ADDRESS": NOTHING_THERE,
    }
    command = (sys.executable, "-m", _AGENT_MODULE)
    process = ChildProcess(command, name=name, folder=folder, environment=environment)
    process.start()
    stack.callback(process.kill)
    return process


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

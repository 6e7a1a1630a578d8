"""A fleet of one service's processes on one etcd; nothing is left running when the context ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path

from tercio_common.clock import SystemClock
from tercio_common.election.port import Leader
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.etcd import EtcdJournal
from tercio_common.journal.store import EtcdStore
from tercio_common.testing.chaos import processes
from tercio_common.testing.chaos.processes import SHORT_LEASE

__all__ = [
    "CONFLICTS",
    "REGISTRY",
    "RESOURCES",
    "SCALING",
    "SCHEDULER",
    "SHORT_LEASE",
    "Fleet",
    "ServerProcess",
    "fleet_on",
]

ROOT = Path(__file__).resolve().parents[2]
SCHEDULER = "tercio_scheduler"
REGISTRY = "tercio_registry"
RESOURCES = "tercio_resources"
CONFLICTS = "tercio_conflicts"
SCALING = "support.ground_driver"


class ServerProcess(processes.ServerProcess):
    """A server that may also be one of the launchers here."""

    def __init__(
        self, module: str, *, folder: Path, endpoints: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> None:
        """Prepare the server; `settings` are further environment variables."""
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        super().__init__(module, folder=folder, endpoints=endpoints, settings={"PYTHONPATH": path, **(settings or {})})


class Fleet:
    """Replicas of one service on one etcd, and the test's own view of journal and election."""

    def __init__(self, endpoints: Sequence[str], *, folder: Path, service: str = "scheduler") -> None:
        """Prepare a fleet; `add` starts replicas."""
        self._service = service
        self._endpoints = tuple(endpoints)
        self._folder = folder
        self._store = EtcdStore(EtcdSettings(endpoints=self._endpoints), clock=SystemClock(), ttl_ms=2000)
        self.replicas: list[ServerProcess] = []

    @property
    def address(self) -> str:
        """Every replica, as clients and agents are told."""
        return ",".join(replica.address for replica in self.replicas)

    @property
    def journal(self) -> EtcdJournal:
        """The service's journal."""
        return self._store.journal(self._service)

    async def add(self, module: str = SCHEDULER, *, settings: Mapping[str, str] | None = None) -> ServerProcess:
        """Start a replica and wait until it answers."""
        replica = ServerProcess(module, folder=self._folder, endpoints=self._endpoints, settings=settings)
        self.replicas.append(replica)
        replica.start()
        await replica.ready()
        return replica

    async def add_all(self, count: int, *, module: str = SCHEDULER, settings: Mapping[str, str] | None = None) -> None:
        """Start that many replicas at once."""
        await asyncio.gather(*(self.add(module, settings=settings) for _ in range(count)))

    async def leader_after(self, former: Leader | None) -> tuple[ServerProcess, Leader]:
        """Wait until a replica leads with a higher epoch than `former`, and return both."""
        async with contextlib.aclosing(self._leaders()) as leaders:
            async for leader in leaders:
                if leader is not None and (former is None or leader.epoch > former.epoch):
                    return self._at(leader.address), leader
        raise AssertionError("the observation of an election never ends")

    async def close(self) -> None:
        """Kill every replica."""
        for replica in self.replicas:
            replica.kill()
        await self._store.close()

    async def _leaders(self) -> AsyncGenerator[Leader | None, None]:
        async for leader in self._store.election(self._service).observe():
            yield leader

    def _at(self, address: str) -> ServerProcess:
        return next(replica for replica in self.replicas if replica.address == address)


@contextlib.asynccontextmanager
async def fleet_on(endpoints: Sequence[str], *, folder: Path, service: str = "scheduler") -> AsyncIterator[Fleet]:
    """Yield a fleet without replicas yet, and kill all of them at the end."""
    fleet = Fleet(endpoints, folder=folder, service=service)
    try:
        yield fleet
    finally:
        await fleet.close()

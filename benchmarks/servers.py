"""An etcd and the shipped servers as processes, with the settings that they are shipped with."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Self

from benchmarks.processes import cpu_seconds, resident_bytes
from tercio_common.clock import SystemClock
from tercio_common.election.renewal import LeaseSettings
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.store import EtcdStore
from tercio_common.testing.chaos.etcd_cluster import EtcdCluster
from tercio_common.testing.chaos.processes import ServerProcess
from tools.etcd_binary import find_or_build

ROOT = Path(__file__).resolve().parents[1]
LEASE = LeaseSettings()
"""As shipped; the processes of the chaos runs have a shorter one."""
_QUOTA_BYTES = 8 << 30
"""The most that etcd's authors advise: a million queued tasks fit."""


class Bench:
    """One etcd and the servers on it; all of them end with the context."""

    def __init__(self, folder: Path, etcd: EtcdCluster, store: EtcdStore) -> None:
        """Describe what `running` has started."""
        self.folder, self.etcd, self.store = folder, etcd, store
        self._servers: list[ServerProcess] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path, *, quota_bytes: int = _QUOTA_BYTES) -> AsyncIterator[Self]:
        """Yield an etcd that answers, and no server yet; `folder` is new."""
        await asyncio.to_thread(folder.mkdir, parents=True)
        with contextlib.ExitStack() as stack:
            options = [f"--quota-backend-bytes={quota_bytes}"]
            starting = EtcdCluster.started(folder, binary=find_or_build(), options=options)
            etcd = await asyncio.to_thread(stack.enter_context, starting)
            store = EtcdStore(EtcdSettings(endpoints=tuple(etcd.endpoints)), clock=SystemClock(), ttl_ms=LEASE.ttl_ms)
            bench = cls(folder, etcd, store)
            try:
                yield bench
            finally:
                for server in bench._servers:
                    server.kill()
                await store.close()

    async def add(self, module: str, *, launcher: str = "", settings: Mapping[str, str] | None = None) -> ServerProcess:
        """Start a server and wait until it answers."""
        lease = {f"TERCIO_HOST__LEASE__{name.upper()}": str(value) for name, value in asdict(LEASE).items()}
        shipped = {**lease, "TERCIO_SERVER__LOG_LEVEL": "warning", "PYTHONPATH": _path()}
        given = {**shipped, **(settings or {})}
        endpoints = self.etcd.endpoints
        server = ServerProcess(module, folder=self.folder, endpoints=endpoints, settings=given, launcher=launcher)
        self._servers.append(server)
        server.start()
        await server.ready()
        return server


def _path() -> str:
    """Return the search path of this process with our launchers on it."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def cpu_of(server: ServerProcess) -> float:
    """Return the processor seconds that a server has used."""
    return cpu_seconds(server.pid)


def memory_of(server: ServerProcess) -> int:
    """Return the bytes that a server holds."""
    return resident_bytes(server.pid)


def point_at(scheduler: ServerProcess) -> None:
    """Tell clients and agents of this process, and of its children, where the scheduler is."""
    os.environ["TERCIO_SCHEDULER_ADDRESS"] = scheduler.address
    os.environ["TERCIO_REGISTRY_ADDRESS"] = "127.0.0.1:9"

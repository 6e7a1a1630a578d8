"""Servers as processes of their own, to be killed and stopped in their tracks; and a fleet of them on one etcd.

It promises that nothing is left running when the context ends, and that a process that does not come up says why: the
error holds the end of its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tercio.api.scheduler.v1 import task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio.rpc.channels import FOLLOW_LEADER
from tercio_common.clock import SystemClock
from tercio_common.election.port import Leader
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.etcd import EtcdJournal
from tercio_common.journal.store import EtcdStore
from tercio_common.testing.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
SCHEDULER = "tercio_scheduler"

SHORT_LEASE = {"TTL_MS": 2000, "RENEW_INTERVAL_MS": 500, "RPC_TIMEOUT_MS": 400, "MARGIN_MS": 500}
"""etcd's shortest useful lease: it counts whole seconds and adds up to one of its own."""
_READY_WITHIN_S = 30.0
_POLL_S = 0.02


class ServerNotReadyError(Exception):
    """The process ended or does not answer; the message ends with its log."""


class ServerProcess:
    """One server: `python -m <module>` on ports of its own."""

    def __init__(
        self, module: str, *, folder: Path, endpoints: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> None:
        """Prepare the server; `settings` are further environment variables."""
        self._module = module
        port, health, metrics = free_ports(3)
        self.address = f"127.0.0.1:{port}"
        self._health = f"127.0.0.1:{health}"
        self._log = folder / f"{module}-{port}.log"
        self._environment = {
            **_inherited(),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
            "TERCIO_SERVER__PORT": str(port),
            "TERCIO_SERVER__HEALTH_PORT": str(health),
            "TERCIO_SERVER__METRICS_PORT": str(metrics),
            "TERCIO_STORE__ENDPOINTS": "[" + ",".join(f'"{one}"' for one in endpoints) + "]",
            **{f"TERCIO_HOST__LEASE__{name}": str(value) for name, value in SHORT_LEASE.items()},
            # Nothing answers there: a scheduler and its agents work without a registry.
            "TERCIO_REGISTRY_ADDRESS": "127.0.0.1:9",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError(f"{self._module} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """True while the process exists."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; `ready` waits for its answer."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=ROOT,
            )

    async def ready(self, *, within_s: float = _READY_WITHIN_S) -> None:
        """Wait until the server leads or knows a leader.

        Raises:
            ServerNotReadyError: it ended, or does not answer in time.
        """
        async with grpc.aio.insecure_channel(self._health) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            loop = asyncio.get_running_loop()
            deadline = loop.time() + within_s
            while not await _serves(stub):
                if not self.running or loop.time() > deadline:
                    what = "does not answer" if self.running else "ended"
                    raise ServerNotReadyError(f"{self._module} {what}; its log ends:\n{self.log()[-4000:]}")
                await asyncio.sleep(_POLL_S)

    async def leading(self, *, within_s: float = _READY_WITHIN_S) -> None:
        """Wait until the server leads: a call that may not be passed on is answered.

        Raises:
            AssertionError: it does not lead in time.
        """
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub: Any = TaskServiceStub(channel)
            await eventually(partial(_answers, stub), within_ms=int(within_s * 1000))

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop the process in its tracks (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask the process to drain (SIGTERM)."""
        os.kill(self.pid, signal.SIGTERM)

    def log(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""


class Fleet:
    """Replicas of the scheduler on one etcd, and the test's own view of journal and election."""

    def __init__(self, endpoints: Sequence[str], *, folder: Path) -> None:
        """Prepare a fleet; `add` starts replicas."""
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
        """The scheduler's journal."""
        return self._store.journal("scheduler")

    async def add(self, module: str = SCHEDULER, *, settings: Mapping[str, str] | None = None) -> ServerProcess:
        """Start a replica and wait until it answers."""
        replica = ServerProcess(module, folder=self._folder, endpoints=self._endpoints, settings=settings)
        self.replicas.append(replica)
        replica.start()
        await replica.ready()
        return replica

    async def add_all(self, count: int, *, module: str = SCHEDULER) -> None:
        """Start that many replicas at once."""
        await asyncio.gather(*(self.add(module) for _ in range(count)))

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
        async for leader in self._store.election("scheduler").observe():
            yield leader

    def _at(self, address: str) -> ServerProcess:
        return next(replica for replica in self.replicas if replica.address == address)


@contextlib.asynccontextmanager
async def fleet_on(endpoints: Sequence[str], *, folder: Path) -> AsyncIterator[Fleet]:
    """Yield a fleet without replicas yet, and kill all of them at the end."""
    fleet = Fleet(endpoints, folder=folder)
    try:
        yield fleet
    finally:
        await fleet.close()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; all are held until all are known, so that none is given twice."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("TERCIO_", "ETCD_"))}


async def _answers(stub: Any) -> Any:
    call = stub.WatchTasks(task_service_pb2.WatchTasksRequest(), timeout=1.0, metadata=FOLLOW_LEADER)
    try:
        return await call.read() is not grpc.aio.EOF
    except grpc.aio.AioRpcError:
        return False
    finally:
        call.cancel()


async def _serves(stub: Any) -> bool:
    call = stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
    try:
        reply = await call
    except grpc.aio.AioRpcError:
        return False
    finally:
        call.cancel()
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

"""Servers as processes of their own, to be killed and stopped in their tracks.

It promises that a process that does not come up says why: the error holds the end of its log.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tercio.api.scheduler.v1 import task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio.rpc.channels import FOLLOW_LEADER
from tercio_common.free_ports import free_ports
from tercio_common.testing.chaos.stopping import stop
from tercio_common.testing.eventually import eventually

SHORT_LEASE = {"TTL_MS": 2000, "RENEW_INTERVAL_MS": 500, "RPC_TIMEOUT_MS": 400, "MARGIN_MS": 500}
"""etcd's shortest useful lease: it counts whole seconds and adds up to one of its own."""
NOTHING_THERE = "127.0.0.1:9"
"""For the registry: a scheduler and its agents work without one."""

_READY_WITHIN_S = 120.0
"""A machine with ten processes a core needs half a minute to import what a server is made of; one that ends is told at
once."""
_POLL_S = 0.02


class ServerNotReadyError(Exception):
    """The process ended or does not answer; the message ends with its log."""


class ChildProcess:
    """A process of this machine that is started, killed and stopped at will."""

    def __init__(self, command: Sequence[str], *, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        """Prepare it.

        Args:
            command: program and arguments.
            name: of its log.
            folder: where that is.
            environment: added to what this process has; nothing of Tercio or etcd is handed on.
        """
        self.name = name
        self._command = tuple(command)
        self._log = folder / f"{name}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TERCIO_", "ETCD_"))}
        self._environment = {**inherited, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError when it was not started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """True while the process exists."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended by itself; None while it runs, and after `kill`."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process; it need not be ready when this returns."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop the process in its tracks (SIGSTOP)."""
        stop(self.pid)

    def resume(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask the process to drain (SIGTERM)."""
        os.kill(self.pid, signal.SIGTERM)

    def log(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""


class ServerProcess(ChildProcess):
    """One server: `python -m <module>` on ports of its own."""

    def __init__(
        self,
        module: str,
        *,
        folder: Path,
        endpoints: Sequence[str],
        settings: Mapping[str, str] | None = None,
        launcher: str = "",
    ) -> None:
        """Prepare the server; `settings` are further environment variables, a `launcher` is a module that runs it."""
        port, health, metrics = free_ports(3)
        self.address = f"127.0.0.1:{port}"
        self._health = f"127.0.0.1:{health}"
        environment = {
            "TERCIO_SERVER__PORT": str(port),
            "TERCIO_SERVER__HEALTH_PORT": str(health),
            "TERCIO_SERVER__METRICS_PORT": str(metrics),
            "TERCIO_STORE__ENDPOINTS": json.dumps(list(endpoints)),
            **{f"TERCIO_HOST__LEASE__{name}": str(value) for name, value in SHORT_LEASE.items()},
            "TERCIO_REGISTRY_ADDRESS": NOTHING_THERE,
            **(settings or {}),
        }
        command = (sys.executable, "-m", *filter(None, (launcher, module)))
        super().__init__(command, name=f"{module}-{port}", folder=folder, environment=environment)

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
                    raise ServerNotReadyError(f"{self.name} {what}; its log ends:\n{self.log()[-4000:]}")
                await asyncio.sleep(_POLL_S)

    async def leading(self, *, within_s: float = _READY_WITHIN_S) -> None:
        """Wait until the server leads: a call that may not be passed on is answered.

        Raises:
            AssertionError: it does not lead in time.
        """
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub: Any = TaskServiceStub(channel)
            await eventually(partial(_answers, stub), within_ms=int(within_s * 1000))


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

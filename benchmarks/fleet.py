"""One etcd with its default fsync, one scheduler and one process of agents, on loopback, in a folder of their own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import cpu_seconds
from tercio_common.free_ports import free_ports
from tools.etcd_binary import find_or_build

ROOT = Path(__file__).resolve().parents[1]
_READY_WITHIN_S = 30.0
_COMMITS = "tercio_scheduler_commits_total"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running fleet.

    Attributes:
        address: the scheduler's.
        metrics: where the scheduler tells its metrics.
        etcd: path of the binary.
        pids: process ids by name: etcd, scheduler, agents.
    """

    address: str
    metrics: str
    etcd: Path
    pids: Mapping[str, int]

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time that each process has used so far, user and system."""
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def commits(self) -> int:
        """Return how many commits the scheduler has made so far."""
        found = re.search(rf"^{_COMMITS} (\S+)$", _read(self.metrics), re.MULTILINE)
        return int(float(found[1])) if found else 0


@contextlib.contextmanager
def running_fleet(
    folder: Path, *, agents: int, concurrency: int, agents_module: str = "benchmarks.agent"
) -> Iterator[Fleet]:
    """Yield a fleet that answers, and kill it at the end; logs are in `folder`."""
    etcd_client, etcd_peer, port, health, metrics = free_ports(5)
    etcd = find_or_build()
    with contextlib.ExitStack() as processes:
        etcd_pid = processes.enter_context(
            _process(_etcd_command(etcd, folder, etcd_client, etcd_peer), folder / "etcd.log")
        )
        _wait_for(f"http://127.0.0.1:{etcd_client}/health", folder / "etcd.log")
        scheduler_pid = processes.enter_context(
            _process(
                [sys.executable, "-m", "tercio_scheduler"],
                folder / "scheduler.log",
                TERCIO_STORE__ENDPOINTS=f'["127.0.0.1:{etcd_client}"]',
                TERCIO_SERVER__PORT=str(port),
                TERCIO_SERVER__HEALTH_PORT=str(health),
                TERCIO_SERVER__METRICS_PORT=str(metrics),
                TERCIO_REGISTRY_ADDRESS="127.0.0.1:9",
                TERCIO_SERVER__LOG_LEVEL="warning",
            )
        )
        told = f"http://127.0.0.1:{metrics}/metrics"
        _wait_for(told, folder / "scheduler.log")
        agents_pid = processes.enter_context(
            _process(
                [sys.executable, "-m", agents_module, f"--agents={agents}", f"--concurrency={concurrency}"],
                folder / "agents.log",
                TERCIO_SCHEDULER_ADDRESS=f"127.0.0.1:{port}",
                TERCIO_REGISTRY_ADDRESS="127.0.0.1:9",
            )
        )
        pids = {"etcd": etcd_pid, "scheduler": scheduler_pid, "agents": agents_pid}
        yield Fleet(f"127.0.0.1:{port}", told, etcd, pids)


def _etcd_command(etcd: Path, folder: Path, client: int, peer: int) -> list[str]:
    return [
        str(etcd),
        "--name=bench",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=bench=http://127.0.0.1:{peer}",
        "--log-level=warn",
    ]


@contextlib.contextmanager
def _process(command: Sequence[str], log: Path, **environment: str) -> Iterator[int]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TERCIO_", "ETCD_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**inherited, **environment},
        )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            _read(url)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"{url} does not answer:\n{log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=1.0) as reply:  # noqa: S310 - our own loopback address
        told: str = reply.read().decode()
        return told

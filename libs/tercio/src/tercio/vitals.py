"""How the agent's process is: measured where it runs, reported with its heartbeats.

One measurement costs about a tenth of a millisecond. What a platform does not tell is left out, and is then not judged.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import psutil

from tercio.api.registry.v1 import health_pb2
from tercio.counts import TaskCounts

_CGROUPS: Final = Path("/sys/fs/cgroup")

# What a platform raises that hides what it knows.
_UNKNOWN: Final = (psutil.Error, OSError, RuntimeError, ValueError)


class Space(NamedTuple):
    """How much of something is used, in bytes; a limit of 0 means that nobody knows."""

    used: int = 0
    limit: int = 0


class Queue(NamedTuple):
    """Attempts that an agent holds and has not begun, and the most of them that it asks for."""

    length: int = 0
    limit: int = 0


class Probe(Protocol):
    """Measures the process and what is around it."""

    def cpu_ratio(self) -> float:
        """Return CPU time per time since the last call; 1 is one core."""
        ...

    def memory(self) -> Space:
        """Return the memory in use: of the container if it has a limit, else of the machine."""
        ...

    def disk(self) -> Space:
        """Return the disk that holds the working directory."""
        ...


class ProcessProbe:
    """Measures this process. What cannot be measured costs no heartbeat."""

    def __init__(self) -> None:
        """Begin to count CPU time."""
        self._process = psutil.Process()
        self.cpu_ratio()

    def cpu_ratio(self) -> float:
        with contextlib.suppress(*_UNKNOWN):
            return self._process.cpu_percent() / 100
        return 0.0

    def memory(self) -> Space:
        container = container_memory(_own_cgroup())
        if container.limit:
            return container
        with contextlib.suppress(*_UNKNOWN):
            machine = psutil.virtual_memory()
            return Space(machine.total - machine.available, machine.total)
        return Space()

    def disk(self) -> Space:
        with contextlib.suppress(OSError):
            disk = shutil.disk_usage(".")
            # What is kept for the superuser is as good as used.
            return Space(disk.total - disk.free, disk.total)
        return Space()


class Vitals:
    """Makes the agent's health reports."""

    def __init__(self, queue: Callable[[], Queue], counts: TaskCounts, *, probe: Probe | None = None) -> None:
        """Report what `probe` measures, by default of this process, what waits, and what was done since."""
        self._queue = queue
        self._counts = counts
        self._probe = probe or ProcessProbe()
        self._told = (0, 0)

    def report(self, *, late_s: float) -> health_pb2.HealthReport:
        """Return a report that comes so much later than it was due."""
        memory, disk, queue = self._probe.memory(), self._probe.disk(), self._queue()
        told, self._told = self._told, self._counts.sums()
        report = health_pb2.HealthReport(
            cpu_ratio=self._probe.cpu_ratio(),
            memory_used_bytes=memory.used,
            memory_limit_bytes=memory.limit,
            disk_used_bytes=disk.used,
            disk_total_bytes=disk.limit,
            queue_length=queue.length,
            queue_limit=queue.limit,
            succeeded_attempts=self._told[0] - told[0],
            failed_attempts=self._told[1] - told[1],
        )
        report.loop_lag.FromMilliseconds(max(0, int(late_s * 1000)))
        return report


def container_memory(folder: Path) -> Space:
    """Return the memory of a control group (version 2), without page cache that can be dropped at any time.

    A limit of 0 means that the group has none, or that there is no such group.
    """
    with contextlib.suppress(OSError, ValueError):
        limit = (folder / "memory.max").read_text().strip()
        if limit != "max":
            counters = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            used = int((folder / "memory.current").read_text()) - int(counters.get("inactive_file", 0))
            return Space(max(0, used), int(limit))
    return Space()


def _own_cgroup() -> Path:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return _CGROUPS / line[3:].lstrip("/")
    return _CGROUPS

"""What every promise needs: a fleet of processes on an etcd of its own, and the addresses that clients look up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from support.processes import Fleet, fleet_on
from support.workload import point_at


@pytest.fixture
async def fleet(start_etcd: Callable[..., EtcdServer], tmp_path: Path) -> AsyncIterator[Fleet]:
    """Yield a fleet without replicas yet."""
    # Only Tercio's own processes are killed here, so etcd need not wait for the disk.
    async with fleet_on(start_etcd(fsync=False).endpoints, folder=tmp_path) as running:
        yield running


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return where the run is recorded."""
    return tmp_path / "recording"


@pytest.fixture
def aim(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that tells this process's clients and agents where the scheduler is."""
    return lambda address: point_at(address, environment=monkeypatch)

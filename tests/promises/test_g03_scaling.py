"""G3 beyond the journal: what a replaced leader of scaling still tells a driver is refused by the driver's ground."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from support.processes import SCALING
from support.scaled_fleet import LEAST, ScaledFleet, judged, scaled_fleet
from tercio_common.testing.eventually import eventually

_OLD, _NEW = 2, 3
"""To how many agents the replaced leader scales, and the present one."""


async def _stale_run(etcd: EtcdServer, folder: Path, environment: pytest.MonkeyPatch, *, module: str) -> ScaledFleet:
    """Hold a leader's write until another one has written, and then let it arrive; return what ran."""
    async with scaled_fleet(etcd, folder, environment, modules=(module,)) as fleet:
        await fleet.declare()
        await fleet.until(LEAST)
        fresh = await fleet.add_replica(SCALING)
        stale, term = await fleet.scaling.leader_after(None)
        assert stale is not fresh
        fleet.ground.hold_next_write()
        await fleet.scale(_OLD)
        await fleet.ground.holding.wait()
        stale.pause()
        assert (await fleet.scaling.leader_after(term))[0] is fresh
        await fleet.scale(_NEW)
        await eventually(lambda: fleet.ground.asked == _NEW, within_ms=20_000)
        fleet.ground.let_through()
        stale.resume()
        await eventually(lambda: fleet.ground.held_answered, within_ms=20_000)
    return fleet


@pytest.mark.timeout(120)
async def test_the_write_of_a_leader_that_was_replaced_arrives_and_is_refused(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd = start_etcd(fsync=False)
    fleet = await _stale_run(etcd, tmp_path, monkeypatch, module="support.launchers.stale_scaler")
    assert len(fleet.ground.refused) >= 1
    assert fleet.ground.asked == _NEW
    assert judged(tmp_path / "recording").demand().epochs == 2


@pytest.mark.timeout(120)
async def test_without_a_fence_at_the_driver_the_stale_write_would_be_found_out(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd = start_etcd(fsync=False)
    fleet = await _stale_run(etcd, tmp_path, monkeypatch, module="support.launchers.unfenced_scaler")
    assert not fleet.ground.refused
    verdict = judged(tmp_path / "recording")
    assert verdict.broken() == {"G3"}
    assert {violation.check for violation in verdict.violations} == {"DrivenByOne"}

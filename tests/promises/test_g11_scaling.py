"""G11: agents stay within their bounds, none is removed with work under way, and an outage changes nothing.

The agents stand on a ground that outlives the scaling service, as Pods do; it notes what it is asked for, and they note
their work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from support.processes import SCALING, SHORT_LEASE
from support.scaled_fleet import LEAST, MOST, STALE_MS, WINDOW_S, ScaledFleet, ended, judged, scaled_fleet
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import CUT_OFF, RECONNECTED, STORE

_TTL_S = SHORT_LEASE["TTL_MS"] / 1000
_OUTAGE_S = STALE_MS / 1000 + WINDOW_S + 1
"""So long that demand would be found to be low for the whole window, were it looked at."""


async def _outage_changes_nothing(fleet: ScaledFleet, what: str) -> None:
    await fleet.busy_and_done()
    async with fleet.without(what):
        await asyncio.sleep(_OUTAGE_S)
        assert fleet.ground.staying == fleet.ground.asked == MOST
    await fleet.until(LEAST)


async def _has_decided_fewer(fleet: ScaledFleet) -> bool:
    return (await fleet.status()).desired_count < MOST


async def _lose_the_store(fleet: ScaledFleet) -> None:
    await fleet.busy_and_done()
    fleet.note(CUT_OFF, STORE)
    fleet.etcd.kill()
    await asyncio.sleep(_OUTAGE_S)
    assert fleet.ground.staying == fleet.ground.asked == MOST
    fleet.note(RECONNECTED, STORE)
    await asyncio.to_thread(fleet.etcd.restart)
    await fleet.until(LEAST)


async def _replace_leaders_in_the_middle(fleet: ScaledFleet) -> None:
    """Kill a leader while busy agents are to leave, and stop the next one while agents are to come."""
    first, term = await fleet.scaling.leader_after(None)
    long = await fleet.submit(MOST, ms=4_000)
    await fleet.until(MOST)
    await fleet.scale(LEAST)
    first.kill()
    second, term = await fleet.scaling.leader_after(term)
    first.start()
    await ended(long)
    await fleet.until(LEAST)
    work = await fleet.submit(4 * MOST, ms=500)
    second.pause()
    await asyncio.sleep(2 * _TTL_S)
    second.resume()
    await fleet.scaling.leader_after(term)
    await ended(work)
    await fleet.until(LEAST)


@pytest.mark.timeout(300)
async def test_agents_stay_within_bounds_and_nobody_busy_goes_while_everything_else_does(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = (SCALING,) * 2
    async with scaled_fleet(start_etcd(), tmp_path, monkeypatch, modules=modules) as fleet:
        await fleet.declare()
        await fleet.until(LEAST)
        for what in ("scheduler", "registry", "driver"):
            await _outage_changes_nothing(fleet, what)
        await _replace_leaders_in_the_middle(fleet)
        await _lose_the_store(fleet)
        assert not fleet.ground.refused
    assert judged(tmp_path / "recording").demand().epochs >= 3


@pytest.mark.timeout(120)
async def test_removals_that_do_not_wait_for_work_would_be_found_out(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = ("support.launchers.hasty_removals",)
    async with scaled_fleet(start_etcd(fsync=False), tmp_path, monkeypatch, modules=modules) as fleet:
        await fleet.declare()
        work = await fleet.submit(MOST, ms=3_000)
        await eventually(lambda: fleet.ground.working == MOST, within_ms=20_000)
        await asyncio.sleep(1)  # so that nobody has just begun
        await fleet.scale(LEAST)
        await fleet.until(LEAST)
        await ended(work)
    verdict = judged(tmp_path / "recording")
    assert verdict.broken() == {"G11"}
    assert {violation.check for violation in verdict.violations} == {"BusyStay"}


@pytest.mark.timeout(120)
async def test_decisions_without_bounds_would_be_found_out(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = ("support.launchers.boundless_pools",)
    async with scaled_fleet(start_etcd(fsync=False), tmp_path, monkeypatch, modules=modules) as fleet:
        await fleet.declare()
        work = await fleet.submit(3 * MOST, ms=300)
        await eventually(lambda: fleet.ground.asked > MOST, within_ms=20_000)
        await ended(work)
    verdict = judged(tmp_path / "recording")
    assert verdict.broken() == {"G11"}
    assert {violation.check for violation in verdict.violations} == {"WithinBounds"}


@pytest.mark.timeout(120)
async def test_decisions_on_what_is_not_seen_any_more_would_be_found_out(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = ("support.launchers.stale_sightings",)
    async with scaled_fleet(start_etcd(fsync=False), tmp_path, monkeypatch, modules=modules) as fleet:
        await fleet.declare()
        await fleet.busy_and_done()
        async with fleet.without("scheduler"):
            await eventually(lambda: _has_decided_fewer(fleet), within_ms=40_000)
            await asyncio.sleep(1)  # a leader's wall time may be a little behind
    verdict = judged(tmp_path / "recording")
    assert verdict.broken() == {"G11"}
    assert {violation.check for violation in verdict.violations} == {"OutagesChangeNothing"}

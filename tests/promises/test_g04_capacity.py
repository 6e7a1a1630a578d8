"""G4: pools are never granted beyond their capacity. G6 for allocations: each is released exactly once.

Every client asks for a random part of one pool, gives it back twice, or never, and then its lease ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from support.holders import SETTINGS, holders
from support.processes import RESOURCES, SHORT_LEASE, Fleet, fleet_on
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import Verdict, allocation_checks, judge, recorded

_CLIENTS, _ROUNDS = 64, 40
_TTL_S = SHORT_LEASE["TTL_MS"] / 1000
_QUIET_MS = 30_000


@pytest.fixture
async def pools(start_etcd: Callable[..., EtcdServer], tmp_path: Path) -> AsyncIterator[Fleet]:
    """Yield a fleet of resources services without replicas yet."""
    async with fleet_on(start_etcd(fsync=False).endpoints, folder=tmp_path, service="resources") as running:
        yield running


@pytest.mark.timeout(120)
async def test_no_pool_is_over_granted_while_one_leader_is_killed_and_the_next_one_stopped(
    pools: Fleet, recording: Path, seed: int
) -> None:
    await pools.add_all(3, module=RESOURCES, settings=SETTINGS)
    async with (
        recorded(pools.journal, recording) as recorder,
        holders(pools.address, recorder, seed=seed) as clients,
    ):
        first, term = await pools.leader_after(None)
        running = asyncio.create_task(clients.run(_CLIENTS, _ROUNDS))
        await eventually(lambda: clients.rounds > _CLIENTS * 5, within_ms=_QUIET_MS)
        first.kill()
        second, term = await pools.leader_after(term)
        done = clients.rounds
        await eventually(lambda: clients.rounds > done + _CLIENTS * 5, within_ms=_QUIET_MS)
        second.pause()
        await asyncio.sleep(2 * _TTL_S)
        second.resume()
        third, _ = await pools.leader_after(term)
        await running
        await eventually(clients.is_quiet, within_ms=_QUIET_MS)
    assert third not in (first, second)
    assert _judged(recording).demand().epochs == 3


async def _contend(pools: Fleet, recording: Path, seed: int, *, module: str) -> Verdict:
    """Let clients contend for a pool at one replica."""
    await pools.add(module, settings=SETTINGS)
    await pools.leader_after(None)
    async with (
        recorded(pools.journal, recording) as recorder,
        holders(pools.address, recorder, seed=seed) as clients,
    ):
        await clients.run(_CLIENTS, 3)
    return _judged(recording)


async def test_grants_that_do_not_look_at_what_is_granted_would_be_found_out(
    pools: Fleet, recording: Path, seed: int
) -> None:
    verdict = await _contend(pools, recording, seed, module="support.launchers.blind_ledger")
    assert verdict.broken() == {"G4"}


async def test_an_allocation_that_is_released_again_would_be_found_out(
    pools: Fleet, recording: Path, seed: int
) -> None:
    verdict = await _contend(pools, recording, seed, module="support.launchers.repeated_releases")
    assert verdict.broken() == {"G6"}


def _judged(recording: Path) -> Verdict:
    return judge(recording, service="resources", also=allocation_checks())

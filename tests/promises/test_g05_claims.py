"""G5: incompatible claims are never both granted, and tokens rise. G6 for claims: each is released exactly once.

Every client claims a file or a folder, often a second one while it holds the first, writes under its token, sleeps over
its lease now and then, hands over, and gives back twice or never.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.claimants import SETTINGS, claimants
from support.etcd_server import EtcdServer
from support.processes import CONFLICTS, SHORT_LEASE, Fleet, fleet_on
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import Verdict, claim_checks, judge, recorded

_CLIENTS, _ROUNDS = 64, 12
_TTL_S = SHORT_LEASE["TTL_MS"] / 1000
_QUIET_MS = 30_000


@pytest.fixture
async def fleet(start_etcd: Callable[..., EtcdServer], tmp_path: Path) -> AsyncIterator[Fleet]:
    """Yield a fleet of conflicts services without replicas yet."""
    async with fleet_on(start_etcd(fsync=False).endpoints, folder=tmp_path, service="conflicts") as running:
        yield running


@pytest.mark.timeout(180)
async def test_no_two_hold_what_is_incompatible_while_one_leader_is_killed_and_the_next_one_stopped(
    fleet: Fleet, recording: Path, seed: int
) -> None:
    await fleet.add_all(3, module=CONFLICTS, settings=SETTINGS)
    async with (
        recorded(fleet.journal, recording) as recorder,
        claimants(fleet.address, recorder, seed=seed) as clients,
    ):
        first, term = await fleet.leader_after(None)
        running = asyncio.create_task(clients.run(_CLIENTS, _ROUNDS))
        await eventually(lambda: clients.rounds > _CLIENTS, within_ms=_QUIET_MS)
        first.kill()
        second, term = await fleet.leader_after(term)
        done = clients.rounds
        await eventually(lambda: clients.rounds > done + _CLIENTS, within_ms=_QUIET_MS)
        second.pause()
        await asyncio.sleep(2 * _TTL_S)
        second.resume()
        third, _ = await fleet.leader_after(term)
        await running
        await eventually(clients.is_quiet, within_ms=_QUIET_MS)
    assert third not in (first, second)
    assert clients.late_writes == []
    assert clients.refused_writes > 0, "nobody slept over its lease"
    assert clients.victims > 0, "nobody waited in a cycle"
    assert _judged(recording).demand().epochs == 3


async def _contend(fleet: Fleet, recording: Path, seed: int, *, module: str) -> Verdict:
    """Let clients contend at one replica."""
    await fleet.add(module, settings=SETTINGS)
    await fleet.leader_after(None)
    async with (
        recorded(fleet.journal, recording) as recorder,
        claimants(fleet.address, recorder, seed=seed) as clients,
    ):
        await clients.run(_CLIENTS, 2)
    return _judged(recording)


async def test_grants_that_do_not_look_at_what_is_held_would_be_found_out(
    fleet: Fleet, recording: Path, seed: int
) -> None:
    verdict = await _contend(fleet, recording, seed, module="support.launchers.blind_claims")
    assert verdict.broken() == {"G5"}


async def test_a_hand_over_that_repeats_a_token_would_be_found_out(fleet: Fleet, recording: Path, seed: int) -> None:
    verdict = await _contend(fleet, recording, seed, module="support.launchers.repeated_tokens")
    assert verdict.broken() == {"G5"}


async def test_a_claim_that_is_released_again_would_be_found_out(fleet: Fleet, recording: Path, seed: int) -> None:
    verdict = await _contend(fleet, recording, seed, module="support.launchers.repeated_claim_releases")
    assert verdict.broken() == {"G6"}


def _judged(recording: Path) -> Verdict:
    return judge(recording, service="conflicts", also=claim_checks())

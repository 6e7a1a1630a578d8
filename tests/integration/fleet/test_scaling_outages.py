"""A scheduler or a registry that does not answer changes nothing: nobody leaves, and nobody comes, on old sight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from support.scaling_fleet import POOL, QUICK, ScalingFleet, scaling_fleet
from tercio_common.testing.chaos.proxy import Proxy
from tercio_common.testing.eventually import eventually

pytestmark = pytest.mark.timeout(120)

PEERS = ("scheduler", "registry")


@pytest.fixture
async def proxies() -> AsyncIterator[dict[str, Proxy]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(Proxy()) for name in PEERS}


@pytest.fixture
async def fleet(proxies: dict[str, Proxy]) -> AsyncIterator[ScalingFleet]:
    async with scaling_fleet(proxies=proxies) as running:
        yield running


async def until_stale(fleet: ScalingFleet) -> None:
    """Wait until what is seen decides nothing, and then for as long again: looks go on."""
    host = fleet.service.host
    await eventually(lambda: host.session.fresh("pool", host.moment().now, stale=QUICK.stale_ms) is None)
    ended = host.moment().now + QUICK.stale_ms
    await eventually(lambda: host.moment().now >= ended)


@pytest.mark.parametrize("away", PEERS)
async def test_nobody_leaves_while_one_of_them_is_away(
    fleet: ScalingFleet, proxies: dict[str, Proxy], away: str
) -> None:
    await fleet.apply(fleet.row(POOL._replace(least=3, most=3)))
    await fleet.until(3)
    proxies[away].partition()
    await until_stale(fleet)
    await fleet.apply(fleet.row(POOL._replace(least=1, most=4)))
    await until_stale(fleet)
    assert fleet.state().decided == 3
    assert not fleet.state().victims
    assert len(fleet.working()) == 3
    proxies[away].heal()
    await fleet.until(1)


async def test_nobody_comes_while_the_scheduler_is_away(fleet: ScalingFleet, proxies: dict[str, Proxy]) -> None:
    await fleet.apply(fleet.row())
    await fleet.until(1)
    proxies["scheduler"].partition()
    await until_stale(fleet)
    await fleet.submit("one", "two", "three", seconds=30)
    await until_stale(fleet)
    assert (fleet.state().decided, len(fleet.working())) == (1, 1)
    proxies["scheduler"].heal()
    await eventually(lambda: len(fleet.working()) >= 3)

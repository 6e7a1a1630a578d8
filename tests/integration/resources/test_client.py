"""The SDK's side: a block holds what it asked for, and gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.resources import Resources
from tercio import Client, ExhaustedError
from tercio_common.testing.eventually import eventually


@pytest.fixture
async def client(resources: Resources) -> AsyncIterator[Client]:
    async with Client(address=f"127.0.0.1:{resources.port}") as client:
        yield client


async def test_a_block_holds_what_it_asked_for_and_gives_it_back(resources: Resources, client: Client) -> None:
    async with client.allocate({"cpu": 300}) as held:
        (listed,) = await resources.listed()
        assert (listed.allocation_id, listed.owner) == (held.allocation_id, held.owner)
        token = listed.token
        assert held.token == (token.epoch.generation, token.epoch.revision, token.number)
    assert await resources.listed() == []


async def test_a_block_that_fails_gives_back_too(resources: Resources, client: Client) -> None:
    with pytest.raises(LookupError):
        async with client.allocate({"cpu": 300}):
            raise LookupError
    assert await resources.listed() == []


async def test_what_is_not_free_is_refused_with_its_gap_or_waited_for(resources: Resources, client: Client) -> None:
    (number,) = await resources.allocate("a", amounts={"cpu": 800})
    with pytest.raises(ExhaustedError) as caught:
        async with client.allocate({"cpu": 300}):
            pass
    assert caught.value.metadata["cpu.gap"] == "200"

    async def hold() -> int:
        async with client.allocate({"cpu": 300}, wait_s=60) as held:
            return held.allocation_id

    waiting = asyncio.create_task(hold())
    await eventually(lambda: len(resources.service.host.session.waiting) == 1)
    await resources.release(number)
    assert await waiting > number


async def test_a_holder_learns_that_it_lost_what_it_held(resources: Resources, client: Client) -> None:
    async with client.allocate({"cpu": 300}, ttl_s=1) as held:
        await resources.release(held.allocation_id)
        async with asyncio.timeout(10):
            await held.lost.wait()

"""The SDK's side: a block holds what it asked for, and gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.resources import Resources
from tercio import Client, ExhaustedError, InvalidRequestError, NotFoundError
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


async def test_a_block_shrinks_and_grows_what_it_holds_under_the_same_token(
    resources: Resources, client: Client
) -> None:
    async with client.allocate({"cpu": 300}) as held:
        await held.resize({"cpu": 100})
        assert (held.amounts, (await resources.pool()).granted) == ({"cpu": 100}, 100)
        await held.resize({"cpu": 500})
        (listed,) = await resources.listed()
        assert (listed.parts[0].amount.amount, listed.token.number) == (500, held.token.number)
        await resources.allocate("other", amounts={"cpu": 300})
        with pytest.raises(ExhaustedError) as caught:
            await held.resize({"cpu": 700})
        assert (caught.value.metadata["cpu.gap"], held.amounts) == ("100", {"cpu": 500})
        with pytest.raises(InvalidRequestError):
            await held.resize({"memory": 1})
    assert (await resources.pool()).granted == 300


async def test_what_blocks_report_predicts_what_the_next_one_needs(resources: Resources, client: Client) -> None:
    assert (await client.predict("compile")).tasks == 0
    for peak in (100, 120):
        async with client.allocate({"cpu": 300}, task_type="compile") as held:
            await held.report({"cpu": peak}, labels={"language": "rust"})
    found = await client.predict("compile", {"language": "rust"})
    assert (found.amounts, found.tasks) == ({"cpu": 132}, 2)
    async with client.allocate(found.amounts, task_type="compile") as held:
        assert held.amounts == {"cpu": 132}


async def test_who_can_grow_is_told_no_more_than_such_tasks_differ(client: Client) -> None:
    for _ in range(8):
        async with client.allocate({"cpu": 300}, task_type="compile") as held:
            await held.report({"cpu": 100})
    assert (await client.predict("compile")).amounts == {"cpu": 120}
    found = await client.predict("compile", can_grow=True)
    assert (found.amounts, found.error) == ({"cpu": 100}, 0.2)


async def test_a_block_that_lost_what_it_held_can_neither_resize_nor_report_it(
    resources: Resources, client: Client
) -> None:
    async with client.allocate({"cpu": 300}) as held:
        await resources.release(held.allocation_id)
        with pytest.raises(NotFoundError):
            await held.resize({"cpu": 100})
        with pytest.raises(NotFoundError) as caught:
            await held.report({"cpu": 100})
        assert caught.value.reason == "ALLOCATION_NOT_FOUND"

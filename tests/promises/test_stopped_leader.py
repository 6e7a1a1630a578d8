"""A leader that is stopped keeps no client waiting for longer than another one needs to take over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.processes import SHORT_LEASE, Fleet
from tercio import Client, TaskSpec

_TAKE_OVER_S = SHORT_LEASE["TTL_MS"] / 1000 + 2
_PATIENCE_S = _TAKE_OVER_S + 5
"""On a loaded machine; far below the deadline of a call, for which it used to wait."""


async def _submit(client: Client) -> Any:
    return await (await client.submit("work")).accepted()


async def _create_plan(client: Client) -> Any:
    return await client.create_plan([TaskSpec(task_type="work", task_id="t")], plan_id="p")


@pytest.mark.parametrize("call", [_submit, _create_plan], ids=["stream", "unary"])
@pytest.mark.timeout(60)
async def test_a_client_that_knows_only_a_follower_waits_for_a_take_over_and_no_longer(
    fleet: Fleet, aim: Callable[[str], None], call: Callable[[Client], Awaitable[Any]]
) -> None:
    leader = await fleet.add()
    await fleet.leader_after(None)
    follower = await fleet.add()
    aim(follower.address)
    leader.pause()
    try:
        async with Client() as client:
            await asyncio.wait_for(call(client), _PATIENCE_S)
    finally:
        leader.resume()

"""Budgets through gRPC, with the SDK's blocks and the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from typer.testing import CliRunner

from support.registry import fields_of, reason_of
from support.resources import Resources
from tercio import Client, ConflictError, NotFoundError
from tercio.api.resources.v1 import budget_pb2
from tercio.api.resources.v1 import budget_service_pb2 as pb
from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceStub
from tercio.budgets import Budgets
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_resources.cli.budgets import app

Spend = pb.Spending


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.fixture
async def stub(resources: Resources) -> AsyncIterator[BudgetServiceStub]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel:
        yield BudgetServiceStub(channel)


@pytest.fixture
async def client(resources: Resources) -> AsyncIterator[Client]:
    async with Client(address=f"127.0.0.1:{resources.port}") as client:
        yield client


async def create(stub: BudgetServiceStub, budget_id: str = "openai", **fields: object) -> budget_pb2.Budget:
    given = {"tokens_per_minute": 60_000, "burst": Duration(seconds=10), **fields}
    budget = budget_pb2.Budget(budget_id=budget_id, **given)  # type: ignore[arg-type]
    reply = await stub.CreateBudget(pb.CreateBudgetRequest(request_id=f"create-{budget_id}", budget=budget))
    return reply.budget  # type: ignore[no-any-return]


async def budget(stub: BudgetServiceStub, budget_id: str = "openai") -> budget_pb2.Budget:
    return (await stub.GetBudget(pb.GetBudgetRequest(budget_id=budget_id))).budget  # type: ignore[no-any-return]


async def test_budgets_are_created_changed_listed_and_deleted(stub: BudgetServiceStub) -> None:
    await create(stub, micros_per_million_tokens=3_000_000)
    await create(stub, "tenant", parent_id="openai")
    request = pb.UpdateBudgetRequest(request_id="u", budget_id="tenant", tokens_per_minute=6_000)
    assert (await stub.UpdateBudget(request)).budget.burst.seconds == 10
    first = await stub.ListBudgets(pb.ListBudgetsRequest(page_size=1))
    second = await stub.ListBudgets(pb.ListBudgetsRequest(page_size=1, page_token=first.next_page_token))
    assert [each.budget_id for each in (*first.budgets, *second.budgets)] == ["openai", "tenant"]
    error = await refusal(stub.DeleteBudget(pb.DeleteBudgetRequest(request_id="d1", budget_id="openai")))
    assert reason_of(error) == "BUDGET_IN_USE"
    await stub.DeleteBudget(pb.DeleteBudgetRequest(request_id="d2", budget_id="tenant"))
    error = await refusal(stub.GetBudget(pb.GetBudgetRequest(budget_id="tenant")))
    assert reason_of(error) == "BUDGET_NOT_FOUND"


async def test_a_lease_that_is_sent_twice_is_leased_once(stub: BudgetServiceStub, clock: ManualClock) -> None:
    await create(stub)
    await clock.advance(10_000)
    item = pb.LeaseBlocksRequest.Item(budget_id="openai", need=Spend(tokens=1_000), want=Spend(tokens=2_000))
    request = pb.LeaseBlocksRequest(request_id="same", holder="a", items=[item])
    first, second = await stub.LeaseBlocks(request), await stub.LeaseBlocks(request)
    assert first == second
    assert first.blocks[0].leased == Spend(tokens=1_000)
    shown = await budget(stub)
    assert (shown.spent_tokens, shown.leased_tokens) == (1_000, 1_000)


async def test_every_violation_is_reported(stub: BudgetServiceStub) -> None:
    item = pb.LeaseBlocksRequest.Item(budget_id="a b", need=Spend(tokens=-1, requests=2), want=Spend(requests=1))
    error = await refusal(stub.LeaseBlocks(pb.LeaseBlocksRequest(request_id="v", holder="", items=[item])))
    assert set(fields_of(error)) == {"holder", "items[0].budget_id", "items[0].need.tokens", "items[0].want"}


async def test_a_watch_shows_a_freeze(stub: BudgetServiceStub) -> None:
    await create(stub)
    await create(stub, "tenant", parent_id="openai")
    watch = stub.WatchBudgets(pb.WatchBudgetsRequest())
    first = await watch.read()
    assert len(first.budgets) == 2
    request = pb.ReportThrottledRequest(request_id="t", budget_id="tenant", retry_after=Duration(seconds=20))
    await stub.ReportThrottled(request)
    (frozen,) = (await watch.read()).budgets
    assert frozen.budget_id == "openai"
    assert frozen.HasField("frozen_until")
    watch.cancel()


async def test_calls_spend_from_a_block_and_leave_gives_back_the_rest(
    stub: BudgetServiceStub, client: Client, clock: ManualClock
) -> None:
    await create(stub)
    await clock.advance(10_000)
    async with client.budgets() as budgets:
        async with budgets.tokens("openai", 1_000) as spent:
            spent.used(700)
        await asyncio.gather(*(spend(budgets, 500) for _ in range(8)))
    shown = await budget(stub)
    assert (shown.spent_tokens, shown.spent_requests, shown.leased_tokens) == (4_700, 9, 0)


async def test_a_call_waits_until_the_budget_has_filled(
    stub: BudgetServiceStub, client: Client, clock: ManualClock, resources: Resources
) -> None:
    await create(stub)
    async with client.budgets(holder="a") as budgets:
        waiting = asyncio.create_task(spend(budgets, 100))
        demands = resources.service.host.session.demands
        await eventually(lambda: bool(demands.of("openai", 0)))
        assert not waiting.done()
        await clock.advance(200)
        await asyncio.wait_for(waiting, 20)


async def test_a_provider_s_refusal_freezes_the_account_and_is_not_spent(
    stub: BudgetServiceStub, client: Client, clock: ManualClock
) -> None:
    await create(stub)
    await clock.advance(10_000)
    async with client.budgets() as budgets:
        async with budgets.tokens("openai", 1_000) as spent:
            await spent.throttled(20)
        waiting = asyncio.create_task(spend(budgets, 1))
        await asyncio.sleep(0)
        assert not waiting.done()
    shown = await budget(stub)
    assert shown.HasField("frozen_until")
    assert (shown.spent_tokens, shown.leased_tokens) == (0, 0)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_one_agent_was_refused_stops_the_others_at_once(
    stub: BudgetServiceStub, client: Client, clock: ManualClock
) -> None:
    await create(stub)
    await create(stub, "tenant", parent_id="openai")
    await create(stub, "other")
    await clock.advance(10_000)
    async with client.budgets() as refused, client.budgets() as others:
        for budget_id in ("tenant", "other"):
            async with others.tokens(budget_id, 1_000) as spent:
                spent.used(100)  # so it has 900 of each left, for which it asks nobody
        async with refused.tokens("openai", 100) as spent:
            await spent.throttled(20)
        await eventually(lambda: _is_held_back(others, "tenant"))
        assert not await _is_held_back(others, "other")


async def _is_held_back(budgets: Budgets, budget_id: str) -> bool:
    async def spend_one() -> None:
        async with budgets.tokens(budget_id, 1):
            pass

    try:
        await asyncio.wait_for(spend_one(), 0.05)
    except TimeoutError:
        return True
    return False


async def test_calls_that_wait_for_calls_eight_deep_hold_nothing_meanwhile(
    stub: BudgetServiceStub, client: Client, clock: ManualClock
) -> None:
    await create(stub, burst=Duration(seconds=1))  # 1,000 tokens: two calls never fit at once
    ended: list[int] = []

    async def call(depth: int) -> None:
        async with budgets.tokens("openai", 600):
            if depth < 8:
                await call(depth + 1)
            ended.append(depth)

    async def let_it_fill() -> bool:
        await clock.advance(1_000)
        return chain.done()

    async with client.budgets() as budgets:
        chain = asyncio.create_task(call(1))
        await eventually(let_it_fill, within_ms=30_000)
        await chain
    assert ended == [8, 7, 6, 5, 4, 3, 2, 1]


async def test_the_command_line_creates_and_shows_budgets(resources: Resources) -> None:
    async def run(*words: str) -> str:
        given = [*words, "--address", f"127.0.0.1:{resources.port}"]
        result = await asyncio.to_thread(CliRunner().invoke, app, given)
        assert result.exit_code == 0, result.output
        return result.output

    made = await run("create", "openai", "--tokens", "60000", "--requests", "500", "--cost-limit", "5000000")
    assert made == "openai has 60000 tokens and 500 requests a minute\n"
    await run("create", "tenant", "--parent", "openai")
    assert "budget_id: tenant" in await run("get", "tenant", "-o", "yaml")
    assert "openai" in await run("list", "-o", "wide")


async def test_what_can_never_be_spent_is_refused(stub: BudgetServiceStub, client: Client, clock: ManualClock) -> None:
    await create(stub)
    async with client.budgets() as budgets:
        with pytest.raises(ConflictError) as caught:
            await spend(budgets, 10_001)
        assert caught.value.reason == "RESOURCE_LIMIT_EXCEEDED"
        with pytest.raises(NotFoundError):
            async with budgets.tokens("other", 1):
                pass


async def spend(budgets: object, tokens: int) -> None:
    async with budgets.tokens("openai", tokens):  # type: ignore[attr-defined]
        pass

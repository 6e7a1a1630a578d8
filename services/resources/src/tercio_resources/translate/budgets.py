"""Budgets and blocks: contract to domain and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import budget_pb2
from tercio.api.resources.v1 import budget_service_pb2 as pb
from tercio_common.rpc.fields import duration, page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_resources.state.budget_commands import (
    Ask,
    CreateBudget,
    DeleteBudget,
    LeaseBlocks,
    ReportThrottled,
    ReturnBlocks,
    UpdateBudget,
)
from tercio_resources.state.budget_rows import NOTHING_SPENT, BudgetRow, Spending
from tercio_resources.state.budgets import BLOCK_TTL, BudgetView
from tercio_resources.state.demands import Outcome

_HOLDER: Final = re.compile(r"[A-Za-z0-9._:/@-]{1,200}")
_MOST = Spending(10**12, 10**9)
_MOST_PRICE: Final = 10**12
_MOST_COST: Final = 10**15
_MOST_ITEMS: Final = 100
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000


def create_command(request: pb.CreateBudgetRequest) -> CreateBudget:
    """Translate a new budget. Raises INVALID_ARGUMENT, as all below do."""
    found, budget = Violations(), request.budget
    found.check_id("budget.budget_id", budget.budget_id)
    found.check_id("budget.parent_id", budget.parent_id, optional=True)
    burst = _burst("budget.burst", budget.burst, found) if budget.HasField("burst") else _MINUTE_MS
    _check_numbers("budget.", budget, found)
    found.raise_if_any()
    return CreateBudget(
        BudgetRow(
            budget.budget_id,
            budget.parent_id,
            Spending(budget.tokens_per_minute, budget.requests_per_minute),
            burst,
            0 if budget.parent_id else budget.micros_per_million_tokens,
            budget.cost_limit_micros,
        )
    )


def update_command(request: pb.UpdateBudgetRequest) -> UpdateBudget:
    """Translate a change; what is absent stays."""
    found = Violations()
    found.check_id("budget_id", request.budget_id)
    burst = _burst("burst", request.burst, found) if request.HasField("burst") else None
    _check_numbers("", request, found)
    found.raise_if_any()
    return UpdateBudget(
        budget_id=request.budget_id,
        tokens=request.tokens_per_minute if request.HasField("tokens_per_minute") else None,
        requests=request.requests_per_minute if request.HasField("requests_per_minute") else None,
        burst=burst,
        price=request.micros_per_million_tokens if request.HasField("micros_per_million_tokens") else None,
        cost_limit=request.cost_limit_micros if request.HasField("cost_limit_micros") else None,
    )


def delete_command(request: pb.DeleteBudgetRequest) -> DeleteBudget:
    """Translate a deletion."""
    return DeleteBudget(budget_id_of(request))


def budget_id_of(request: pb.DeleteBudgetRequest | pb.GetBudgetRequest) -> str:
    """Return which budget is meant."""
    found = Violations()
    found.check_id("budget_id", request.budget_id)
    found.raise_if_any()
    return request.budget_id


def page_size(request: pb.ListBudgetsRequest) -> int:
    """Return the page size of a list."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return size


def lease_command(request: pb.LeaseBlocksRequest) -> LeaseBlocks:
    """Translate what a holder says."""
    found = Violations()
    _check_items(request.holder, [item.budget_id for item in request.items], found)
    asks = []
    for index, item in enumerate(request.items):
        path = f"items[{index}]"
        need, want = _spending(f"{path}.need", item.need, found), _spending(f"{path}.want", item.want, found)
        enough = not item.HasField("want") or want.least(need) == need
        found.check(f"{path}.want", enough, "must be at least `need`, or absent")
        spent, refunded = _settled(path, item, found)
        asks.append(Ask(item.budget_id, spent, refunded, need, want))
    found.raise_if_any()
    return LeaseBlocks(request.holder, tuple(asks))


def return_command(request: pb.ReturnBlocksRequest) -> ReturnBlocks:
    """Translate what a holder gives back."""
    found = Violations()
    _check_items(request.holder, [item.budget_id for item in request.items], found)
    asks = [Ask(item.budget_id, *_settled(f"items[{index}]", item, found)) for index, item in enumerate(request.items)]
    found.raise_if_any()
    return ReturnBlocks(request.holder, tuple(asks))


def throttled_command(request: pb.ReportThrottledRequest) -> ReportThrottled:
    """Translate a refusal of the provider."""
    found = Violations()
    found.check_id("budget_id", request.budget_id)
    retry_after = found.check_duration("retry_after", request.retry_after, least_ms=1, most_ms=_HOUR_MS)
    found.raise_if_any()
    return ReportThrottled(request.budget_id, retry_after)


def budget_message(shown: BudgetView) -> budget_pb2.Budget:
    """Return a budget as the contract has it."""
    row, meter = shown.row, shown.meter
    return budget_pb2.Budget(
        budget_id=row.budget_id,
        parent_id=row.parent_id,
        tokens_per_minute=row.rates.tokens,
        requests_per_minute=row.rates.requests,
        burst=duration(row.burst),
        micros_per_million_tokens=row.price,
        cost_limit_micros=row.cost_limit,
        leased_tokens=meter.leased.tokens,
        leased_requests=meter.leased.requests,
        spent_tokens=meter.spent.tokens,
        spent_requests=meter.spent.requests,
        spent_micros=meter.cost // 10**6,
        frozen_until=timestamp(shown.frozen_wall) if shown.frozen_wall else None,
        frozen_for=duration(shown.frozen_for) if shown.frozen_for else None,
    )


def lease_response(outcomes: Iterable[Outcome]) -> pb.LeaseBlocksResponse:
    """Return what became of the items."""
    blocks = [
        pb.LeaseBlocksResponse.Block(
            leased=pb.Spending(tokens=each.leased.tokens, requests=each.leased.requests),
            reason=each.reason,
            retry_after=duration(each.retry_after) if each.retry_after else None,
        )
        for each in outcomes
    ]
    return pb.LeaseBlocksResponse(blocks=blocks, ttl=duration(BLOCK_TTL))


def _check_numbers(path: str, given: budget_pb2.Budget | pb.UpdateBudgetRequest, found: Violations) -> None:
    found.check_range(f"{path}tokens_per_minute", given.tokens_per_minute, least=0, most=_MOST.tokens)
    found.check_range(f"{path}requests_per_minute", given.requests_per_minute, least=0, most=_MOST.requests)
    price = given.micros_per_million_tokens
    found.check_range(f"{path}micros_per_million_tokens", price, least=0, most=_MOST_PRICE)
    found.check_range(f"{path}cost_limit_micros", given.cost_limit_micros, least=0, most=_MOST_COST)


def _burst(field: str, given: Duration, found: Violations) -> int:
    return found.check_duration(field, given, least_ms=1_000, most_ms=_HOUR_MS)


def _check_items(holder: str, budget_ids: Sequence[str], found: Violations) -> None:
    found.check_pattern("holder", holder, _HOLDER)
    found.check_length("items", budget_ids, least=1, most=_MOST_ITEMS, unit="items")
    seen: set[str] = set()
    for index, budget_id in enumerate(budget_ids):
        found.check_id(f"items[{index}].budget_id", budget_id)
        found.check(f"items[{index}].budget_id", budget_id not in seen, f"{budget_id!r} is given twice")
        seen.add(budget_id)


def _settled(
    path: str, item: pb.LeaseBlocksRequest.Item | pb.ReturnBlocksRequest.Item, found: Violations
) -> tuple[Spending, Spending]:
    return _spending(f"{path}.spent", item.spent, found), _spending(f"{path}.refunded", item.refunded, found)


def _spending(field: str, given: pb.Spending, found: Violations) -> Spending:
    found.check_range(f"{field}.tokens", given.tokens, least=0, most=_MOST.tokens)
    found.check_range(f"{field}.requests", given.requests, least=0, most=_MOST.requests)
    return Spending(given.tokens, given.requests) if given.tokens or given.requests else NOTHING_SPENT

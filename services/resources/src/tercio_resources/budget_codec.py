"""Events and rows of budgets as protobuf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from tercio_resources.records.v1 import budgets_pb2 as budgets
from tercio_resources.records.v1 import events_pb2 as records
from tercio_resources.state import budget_events as events
from tercio_resources.state.budget_rows import BlockRow, BudgetRow, MeterRow, Settlement, Spending
from tercio_resources.state.tables import BLOCKS, BUDGETS, METERS


def _spending_record(spending: Spending) -> budgets.Spending:
    return budgets.Spending(tokens=spending.tokens, requests=spending.requests)


def _spending(record: budgets.Spending) -> Spending:
    return Spending(record.tokens, record.requests)


def _budget_record(row: BudgetRow) -> budgets.BudgetRow:
    return budgets.BudgetRow(
        budget_id=row.budget_id,
        parent_id=row.parent_id,
        tokens_per_minute=row.rates.tokens,
        requests_per_minute=row.rates.requests,
        burst_ms=row.burst,
        micros_per_million_tokens=row.price,
        cost_limit_micros=row.cost_limit,
        frozen_until_ms=row.frozen_until,
    )


def _budget(record: budgets.BudgetRow) -> BudgetRow:
    return BudgetRow(
        budget_id=record.budget_id,
        parent_id=record.parent_id,
        rates=Spending(record.tokens_per_minute, record.requests_per_minute),
        burst=record.burst_ms,
        price=record.micros_per_million_tokens,
        cost_limit=record.cost_limit_micros,
        frozen_until=record.frozen_until_ms,
    )


def _meter_record(row: MeterRow) -> budgets.MeterRow:
    return budgets.MeterRow(
        budget_id=row.budget_id,
        tokens_level=row.levels.tokens,
        requests_level=row.levels.requests,
        filled_now_ms=row.filled_now,
        leased=_spending_record(row.leased),
        spent=_spending_record(row.spent),
        cost=str(row.cost),
        virtual_time=row.virtual,
    )


def _meter(record: budgets.MeterRow) -> MeterRow:
    return MeterRow(
        budget_id=record.budget_id,
        levels=Spending(record.tokens_level, record.requests_level),
        filled_now=record.filled_now_ms,
        leased=_spending(record.leased),
        spent=_spending(record.spent),
        cost=int(record.cost),
        virtual=record.virtual_time,
    )


def _block_record(row: BlockRow) -> budgets.BlockRow:
    return budgets.BlockRow(
        budget_id=row.budget_id,
        holder=row.holder,
        leased=_spending_record(row.leased),
        until_ms=row.until,
        finish=row.finish,
    )


def _block(record: budgets.BlockRow) -> BlockRow:
    return BlockRow(record.budget_id, record.holder, _spending(record.leased), record.until_ms, record.finish)


def _settled_record(event: events.BlocksSettled) -> records.Event:
    items = [
        budgets.BlocksSettled.Item(
            budget_id=item.budget_id,
            spent=_spending_record(item.spent),
            refunded=_spending_record(item.refunded),
            returned=_spending_record(item.returned),
            taken=_spending_record(item.taken),
            leased=_spending_record(item.leased),
        )
        for item in event.items
    ]
    return records.Event(blocks_settled=budgets.BlocksSettled(holder=event.holder, items=items, until_ms=event.until))


def _settled(record: budgets.BlocksSettled) -> events.BlocksSettled:
    items = tuple(
        Settlement(
            item.budget_id,
            *map(_spending, (item.spent, item.refunded, item.returned, item.taken, item.leased)),
        )
        for item in record.items
    )
    return events.BlocksSettled(record.holder, items, record.until_ms)


def _lost_record(event: events.BlocksLost) -> records.Event:
    names, holders = zip(*event.keys, strict=True)
    return records.Event(blocks_lost=budgets.BlocksLost(budget_ids=names, holders=holders))


def _lost(record: budgets.BlocksLost) -> events.BlocksLost:
    return events.BlocksLost(tuple(zip(record.budget_ids, record.holders, strict=True)))


ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    events.BudgetSet: lambda e: records.Event(budget_set=_budget_record(e.row)),
    events.BudgetDeleted: lambda e: records.Event(budget_deleted=budgets.BudgetDeleted(budget_id=e.budget_id)),
    events.BlocksSettled: _settled_record,
    events.BlocksLost: _lost_record,
    events.AccountFrozen: lambda e: records.Event(
        account_frozen=budgets.AccountFrozen(budget_id=e.budget_id, until_ms=e.until)
    ),
}

DECODERS: dict[str, Callable[[Any], events.BudgetEvent]] = {
    "budget_set": lambda r: events.BudgetSet(_budget(r)),
    "budget_deleted": lambda r: events.BudgetDeleted(r.budget_id),
    "blocks_settled": _settled,
    "blocks_lost": _lost,
    "account_frozen": lambda r: events.AccountFrozen(r.budget_id, r.until_ms),
}

ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {
    BUDGETS: _budget_record,
    METERS: _meter_record,
    BLOCKS: _block_record,
}

ROW_DECODERS: dict[str, Callable[[bytes], BudgetRow | MeterRow | BlockRow]] = {
    BUDGETS: lambda data: _budget(budgets.BudgetRow.FromString(data)),
    METERS: lambda data: _meter(budgets.MeterRow.FromString(data)),
    BLOCKS: lambda data: _block(budgets.BlockRow.FromString(data)),
}

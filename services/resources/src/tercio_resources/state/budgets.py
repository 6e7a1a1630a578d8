"""Budgets: created, changed, and spent from in blocks that are leased to holders.

A holder is lost when it does not settle in time: what it had counts as spent, because it may have been.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_common.machine.table import Table
from tercio_resources.state.block_timers import BlockTimers
from tercio_resources.state.books import Books
from tercio_resources.state.budget_commands import (
    Ask,
    BudgetCommand,
    CreateBudget,
    DeleteBudget,
    LeaseBlocks,
    ReportThrottled,
    ReturnBlocks,
    UpdateBudget,
)
from tercio_resources.state.budget_events import (
    AccountFrozen,
    BlocksLost,
    BlocksSettled,
    BudgetDeleted,
    BudgetEvent,
    BudgetSet,
)
from tercio_resources.state.budget_rows import NOTHING_SPENT, BudgetRow, MeterRow, Settlement, Spending
from tercio_resources.state.demands import Outcome
from tercio_resources.state.session import Session
from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.turns import take_turn

BLOCK_TTL: Final = 15_000
"""A holder settles at least this often, in ms."""
_MOST_LEVELS: Final = 4
"""Account, tenant, agent, task."""


class BudgetView(NamedTuple):
    """A budget as shown. In ms: `frozen_wall` is wall time, 0 if never frozen; `frozen_for` counts from now."""

    row: BudgetRow
    meter: MeterRow
    frozen_wall: int
    frozen_for: int


def decide(command: BudgetCommand, at: Moment, tables: ResourceTables, session: Session) -> Decision:
    """Decide what is asked about budgets.

    Raises:
        Refusal: see the contract.
    """
    match command:
        case CreateBudget(row=row):
            _check_new(row, tables.budgets)
            return Decision([BudgetSet(row)], BudgetView(row, MeterRow(row.budget_id), 0, 0), creates_work=True)
        case UpdateBudget():
            row = _updated(command, present(command.budget_id, tables.budgets))
            unchanged = row == tables.budgets[row.budget_id]
            return Decision(() if unchanged else [BudgetSet(row)], view(row, tables, at))
        case DeleteBudget(budget_id=budget_id):
            _check_deletable(budget_id, tables)
            return Decision([BudgetDeleted(budget_id)])
        case LeaseBlocks():
            return _lease(command, at, tables, session)
        case ReturnBlocks():
            return _return(command, at, tables)
        case ReportThrottled():
            account = account_of(command.budget_id, tables)
            until = max(account.frozen_until, at.now + command.retry_after)
            frozen = AccountFrozen(account.budget_id, until)
            return Decision([frozen], view(account._replace(frozen_until=until), tables, at))


def apply(event: BudgetEvent, at: Moment, tables: ResourceTables) -> None:
    """Change the tables by what happened."""
    books = Books(tables, at.now)
    match event:
        case BudgetSet(row=row):
            if row.budget_id in tables.budgets:
                books.meter(tables.budgets[row.budget_id])  # up to now by the former rates
                books.store()
            else:
                tables.meters.put(MeterRow(row.budget_id, filled_now=at.now))
            tables.budgets.put(row)
        case BudgetDeleted(budget_id=budget_id):
            held = [(row.budget_id, row.holder) for row in tables.blocks.values() if row.budget_id == budget_id]
            for key in held:
                tables.blocks.delete(key)  # of holders that had nothing left
            tables.budgets.delete(budget_id)
            tables.meters.delete(budget_id)
        case BlocksSettled():
            for item in event.items:
                books.settle(event.holder, item, event.until)
            books.store()
        case BlocksLost():
            for budget_id, holder in event.keys:
                books.lose(budget_id, holder)
            books.store()
        case AccountFrozen():
            account = tables.budgets[event.budget_id]
            books.freeze(account, event.until)
            books.store()
            tables.budgets.put(account._replace(frozen_until=event.until))


def lose(timers: BlockTimers, at: Moment, *, limit: int) -> list[BlocksLost]:
    """Decide which holders are lost, at most `limit`."""
    keys: list[tuple[str, str]] = []
    while len(keys) < limit and (key := timers.pop(at.now)) is not None:
        keys.append(key)
    for key in keys:  # should it be undone, they are looked at again
        timers.set(key, at.now + 1)
    return [BlocksLost(tuple(keys))] if keys else []


def view(row: BudgetRow, tables: ResourceTables, at: Moment) -> BudgetView:
    """Show a budget at that moment."""
    meter = Books(tables, at.now).meter(row)
    frozen_wall = row.frozen_until + at.wall - at.now if row.frozen_until else 0
    return BudgetView(row, meter, frozen_wall, max(0, row.frozen_until - at.now))


def present(budget_id: str, budgets: Table[BudgetRow]) -> BudgetRow:
    """Return the budget; raises BUDGET_NOT_FOUND."""
    row = budgets.get(budget_id)
    if row is None:
        raise Refusal("BUDGET_NOT_FOUND", f"there is no budget {budget_id!r}; list them, or create it")
    return row


def account_of(budget_id: str, tables: ResourceTables) -> BudgetRow:
    """Return the account of a budget; raises BUDGET_NOT_FOUND."""
    row = present(budget_id, tables.budgets)
    while row.parent_id:
        row = tables.budgets[row.parent_id]
    return row


def _lease(command: LeaseBlocks, at: Moment, tables: ResourceTables, session: Session) -> Decision:
    """Decide on each item in turn; the reply is a list of `Outcome`."""
    books, until = Books(tables, at.now), at.now + BLOCK_TTL
    items: list[Settlement] = []
    outcomes: list[Outcome] = []
    for ask in command.asks:
        account = account_of(ask.budget_id, tables)
        item = Settlement(ask.budget_id, ask.spent, _refundable(ask, books))
        books.settle(command.holder, item, until)
        outcome = Outcome()
        if ask.need != NOTHING_SPENT:
            waiting = session.demands.of(account.budget_id, at.now)
            outcome = take_turn(ask, command.holder, books, waiting, at.now)
        if ask.need != NOTHING_SPENT and not outcome.reason:
            leased = Settlement(ask.budget_id, taken=ask.need, leased=outcome.leased)
            books.settle(command.holder, leased, until)
            item = item._replace(taken=ask.need, leased=outcome.leased)
        outcomes.append(outcome)
        keeps = books.block(ask.budget_id, command.holder).leased != NOTHING_SPENT
        if keeps or item != Settlement(ask.budget_id):
            items.append(item)
    return Decision([BlocksSettled(command.holder, tuple(items), until)] if items else (), outcomes)


def _return(command: ReturnBlocks, at: Moment, tables: ResourceTables) -> Decision:
    books = Books(tables, at.now)
    items: list[Settlement] = []
    for ask in command.asks:
        present(ask.budget_id, tables.budgets)
        held = books.block(ask.budget_id, command.holder).leased
        rest = held.plus(ask.spent.least(held), -1)
        item = Settlement(ask.budget_id, ask.spent, _refundable(ask, books), rest)
        if item != Settlement(ask.budget_id):
            items.append(item)
    return Decision([BlocksSettled(command.holder, tuple(items), at.now + BLOCK_TTL)] if items else ())


def _refundable(ask: Ask, books: Books) -> Spending:
    """Return what can be refunded: never more than was ever spent on one of the levels."""
    found = ask.refunded
    for budget in books.path(ask.budget_id):
        found = found.least(books.meter(budget).spent)
    return found


def _check_new(row: BudgetRow, budgets: Table[BudgetRow]) -> None:
    if row.budget_id in budgets:
        raise Refusal("BUDGET_EXISTS", f"budget {row.budget_id!r} exists; change it, or use another id")
    levels, above = 1, row.parent_id
    while above:
        levels, above = levels + 1, present(above, budgets).parent_id
    if levels > _MOST_LEVELS:
        raise Refusal("BUDGET_TOO_DEEP", f"budgets have {_MOST_LEVELS} levels; choose a parent that is higher up")


def _updated(command: UpdateBudget, row: BudgetRow) -> BudgetRow:
    tokens = row.rates.tokens if command.tokens is None else command.tokens
    requests = row.rates.requests if command.requests is None else command.requests
    return row._replace(
        rates=Spending(tokens, requests),
        burst=row.burst if command.burst is None else command.burst,
        price=row.price if command.price is None else command.price,
        cost_limit=row.cost_limit if command.cost_limit is None else command.cost_limit,
    )


def _check_deletable(budget_id: str, tables: ResourceTables) -> None:
    present(budget_id, tables.budgets)
    below = next((row.budget_id for row in tables.budgets.values() if row.parent_id == budget_id), "")
    leased = tables.meters[budget_id].leased
    if below or leased != NOTHING_SPENT:
        what = f"budget {below!r} is below it; delete that one first" if below else f"{leased} are leased; wait"
        raise Refusal("BUDGET_IN_USE", f"budget {budget_id!r} is in use: {what}")

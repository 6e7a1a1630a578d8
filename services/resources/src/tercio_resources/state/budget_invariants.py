"""What holds of budgets after every step."""

from __future__ import annotations

from collections.abc import Iterator

from tercio_resources.state import meters
from tercio_resources.state.books import Books
from tercio_resources.state.budget_rows import NOTHING_SPENT, Spending
from tercio_resources.state.tables import ResourceTables


def violations(tables: ResourceTables) -> Iterator[str]:
    """Give one sentence for each thing that is wrong, if nothing was lowered while something was leased."""
    leased = {row.budget_id: NOTHING_SPENT for row in tables.budgets.values()}
    for block in tables.blocks.values():
        if min(block.leased) < 0:
            yield f"{block.holder!r} has {block.leased} of {block.budget_id!r}"
        for budget in Books(tables, 0).path(block.budget_id):
            leased[budget.budget_id] = leased[budget.budget_id].plus(block.leased)
    if {row.budget_id: row.leased for row in tables.meters.values()} != leased:
        yield "what is leased is summed up wrong on some level"
    for meter in tables.meters.values():
        budget = tables.budgets[meter.budget_id]
        most = meters.bursts(budget)
        held = Spending(*(level // meters.PARTS for level in meter.levels)).plus(meter.leased)
        if held.least(most) != held:
            yield f"{held} of {meter.budget_id!r} are saved up or leased, over its burst {most}"
    if tables.block_timers.keys() != {(row.budget_id, row.holder) for row in tables.blocks.values()}:
        yield "a block has no time to be lost, or one that does not exist has one"

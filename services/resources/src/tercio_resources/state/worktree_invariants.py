"""What holds of worktrees after every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.worktree_rows import WorktreeState


def violations(tables: ResourceTables) -> Iterator[str]:
    """Give one sentence for each thing that is wrong."""
    held, ready = Counter[tuple[int, str]](), Counter[str]()
    for row in tables.worktrees.values():
        name = f"worktree {row.number} of {row.pool_id!r}"
        pool = tables.worktree_pools.get(row.pool_id)
        if pool is None:
            yield f"{name} is of a pool that keeps none"
        elif row.number > pool.last_number:
            yield f"{name} has a number that will be given again"
        if (row.state is WorktreeState.HELD) != bool(row.allocation):
            yield f"{name} is {row.state.name}, and allocation {row.allocation} has it"
        if row.state in {WorktreeState.READY, WorktreeState.HELD} and not row.made:
            yield f"{name} is {row.state.name} and was never made"
        held[row.allocation, row.pool_id] += row.state is WorktreeState.HELD
        ready[row.pool_id] += row.state is WorktreeState.READY
    granted = Counter[tuple[int, str]]()
    for allocation in tables.allocations.values():
        for part in allocation.lot.parts:
            if part.pool_id in tables.worktree_pools:
                granted[allocation.number, part.pool_id] += part.amount
    if +held != granted:
        yield f"worktrees are held as {+held}, and granted as {granted}"
    index = tables.worktree_index
    if {number for number, _ in granted} != set(index.holders()):
        yield "the index of who holds worktrees is not that of the table"
    if any(len(index.ready(pool_id)) != count for pool_id, count in ready.items()):
        yield "the index of ready worktrees is not that of the table"

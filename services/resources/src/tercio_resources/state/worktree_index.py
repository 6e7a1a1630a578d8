"""Which worktrees are ready, and who holds which; kept in step with their table."""

from __future__ import annotations

from collections.abc import Collection

from tercio_resources.state.worktree_rows import WorktreeRow, WorktreeState


class WorktreeIndex:
    """Index of the table of worktrees."""

    def __init__(self) -> None:
        self._ready: dict[str, set[int]] = {}
        self._held: dict[int, set[tuple[str, int]]] = {}
        self.readied = 0
        """Rises whenever there is one more to hand out."""

    def changed(self, key: tuple[str, int], old: WorktreeRow | None, new: WorktreeRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self._forget(key, old)
        if new is None:
            return
        if new.state is WorktreeState.READY:
            self._ready.setdefault(new.pool_id, set()).add(new.number)
            self.readied += 1
        elif new.state is WorktreeState.HELD:
            self._held.setdefault(new.allocation, set()).add(key)

    def ready(self, pool_id: str) -> Collection[int]:
        """Return the numbers of what a pool can hand out."""
        return self._ready.get(pool_id, ())

    def held(self, allocation: int) -> list[tuple[str, int]]:
        """Return the keys of what an allocation holds, in their order."""
        return sorted(self._held.get(allocation, ()))

    def holders(self) -> Collection[int]:
        """Return the allocations that hold worktrees."""
        return self._held.keys()

    def _forget(self, key: tuple[str, int], row: WorktreeRow) -> None:
        if row.state is WorktreeState.READY:
            ready = self._ready[row.pool_id]
            ready.discard(row.number)
            if not ready:
                del self._ready[row.pool_id]
        elif row.state is WorktreeState.HELD:
            held = self._held[row.allocation]
            held.discard(key)
            if not held:
                del self._held[row.allocation]

"""Tombstones: an owner that was released is granted nothing any more, so that a grant that is still on its way is none.

One stands for as long as request ids are kept. After that a grant for an owner of long ago comes from a leader of long
ago, and is refused with STALE_EPOCH.
"""

from __future__ import annotations

from tercio_common.machine.protocol import Moment
from tercio_resources.state.events import TombstonesPruned
from tercio_resources.state.rows import TombstoneRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.timers import Timers


class Tombstones(Timers[str]):
    """When each is pruned; an index of their table."""

    def __init__(self, rules: Rules) -> None:
        super().__init__("tombstone of")
        self._rules = rules

    def changed(self, key: str, old: TombstoneRow | None, new: TombstoneRow | None) -> None:
        """See `Index`."""
        if new is None:
            self.drop(key)
        else:
            self.set(key, new.released_now + self._rules.tombstone)


def prune(tombstones: Tombstones, at: Moment, *, limit: int) -> list[TombstonesPruned]:
    """Decide which owners are no longer barred, at most `limit`."""
    owners: list[str] = []
    while len(owners) < limit and (owner := tombstones.pop(at.now)) is not None:
        owners.append(owner)
    for owner in owners:  # should the pruning be undone, they are looked at again
        tombstones.set(owner, at.now + 1)
    return [TombstonesPruned(tuple(owners))] if owners else []

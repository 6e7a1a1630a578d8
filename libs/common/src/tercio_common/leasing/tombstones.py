"""Tombstones: an owner that was released is granted nothing any more, so that a grant that is still on its way is none.

One stands for as long as request ids are kept. After that a grant for an owner of long ago comes from a leader of long
ago, and is refused with STALE_EPOCH.
"""

from __future__ import annotations

from typing import NamedTuple

from tercio_common.leasing.timers import Timers


class TombstoneRow(NamedTuple):
    """Bars an owner that was released, since that fleet time in ms."""

    owner: str
    released_now: int


class Tombstones(Timers[str]):
    """When each is pruned; an index of their table."""

    def __init__(self, *, period: int) -> None:
        """Let each stand for `period` ms."""
        super().__init__("tombstone of")
        self._period = period

    def changed(self, key: str, old: TombstoneRow | None, new: TombstoneRow | None) -> None:
        """See `Index`."""
        if new is None:
            self.drop(key)
        else:
            self.set(key, new.released_now + self._period)

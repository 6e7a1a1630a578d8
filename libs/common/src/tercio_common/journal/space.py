"""A full store is not an outage.

Every replica, leader or not, watches how full the store is. What it may do needs no leadership and no put: delete
segments that the snapshot in force covers, compact, defragment, lift the alarm. The leader refuses commands that
create work while the store is nearly full, so that completions, cancellations and snapshots still find room.
"""

from __future__ import annotations

import structlog

from tercio_common.clock import Clock
from tercio_common.errors import StoreError
from tercio_common.journal.budget import FULL_PERCENT
from tercio_common.journal.port import Journal, Space

_WASTEFUL_FILE, _WASTEFUL_USE = 0.75, 0.50
_CHECK_MS = 5_000
_FULL_CHECK_MS = 500
_log = structlog.get_logger(__name__)


class SpaceGuard:
    """Keeps one service's store usable.

    Attributes:
        nearly_full: commands that create work are to be refused.
    """

    def __init__(self, journal: Journal, *, clock: Clock) -> None:
        """Watch over the store that holds `journal`."""
        self._journal, self._clock = journal, clock
        self.nearly_full = False

    async def run(self) -> None:
        """Look every 5 s, more often while the store is full; for ever."""
        while True:
            pause = _CHECK_MS
            try:
                pause = await self.look()
            except StoreError as error:
                _log.debug("store_space_unknown", error=str(error))
            await self._clock.sleep_ms(pause)

    async def look(self) -> int:
        """Look once and act; return when to look again, in ms."""
        space = await self._journal.space()
        was, self.nearly_full = self.nearly_full, _is_nearly_full(space)
        if self.nearly_full and not was:
            _log.warning("store_nearly_full", in_use=space.in_use, quota=space.quota, effect="new work is refused")
        if not self.nearly_full and not _is_wasteful(space):
            return _CHECK_MS
        pointer = await self._journal.pointer()
        if pointer is not None:
            while await self._journal.truncate(pointer.segment):
                pass
        if space.full or _is_wasteful(space):
            await self._journal.reclaim()
        else:
            await self._journal.compact()
        return _FULL_CHECK_MS if space.full else _CHECK_MS


def _is_nearly_full(space: Space) -> bool:
    return space.full or (space.quota > 0 and 100 * space.in_use > FULL_PERCENT * space.quota)


def _is_wasteful(space: Space) -> bool:
    """Only defragmentation shrinks the file, and the quota counts the file."""
    return space.quota > 0 and (
        space.file_size > _WASTEFUL_FILE * space.quota and space.in_use < _WASTEFUL_USE * space.quota
    )

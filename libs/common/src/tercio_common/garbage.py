"""When Python looks for reference cycles in a process that holds many rows.

Rows are immutable and never part of a cycle, so counting references frees them. Yet a search walks all that are new to
it: with the defaults the searches took a fifth of a scheduler's time under load. Cycles do occur, in exceptions and in
cancelled tasks, and are small and young: searches of the young generations find nearly all of them.

A search of the young is due when many more objects were made than freed, so where rows go as fast as they come none is
due for long, and then one walks half a million of them and stops everything for 300 ms. So new rows are set aside soon,
which costs nothing, and with them what else is young: cycles among that wait for the next full search.
"""

from __future__ import annotations

import gc

from tercio_common.clock import Clock

_YOUNG, _MIDDLE, _OLD = 20_000, 5, 10_000
"""Objects that are made and kept until a search of the young; such searches until one of those that survived two; and
those until a full one. Rows are set aside before a search of the young is due, so all this is for what else is made."""
ROWS_SET_ASIDE = 10_000
"""Rows after which the young are set aside: about as many as one search may walk within 5 ms."""
_FULL_SEARCH_MS = 3_600_000
"""It stops everything for about 300 ms where 200,000 tasks are kept; a stream that ends leaves some 10 kB to it."""

_is_tuned = False


def tune_for_many_rows() -> None:
    """Set this process up for a server: call once, when everything is imported."""
    global _is_tuned
    _is_tuned = True
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


def set_rows_aside() -> None:
    """Keep what is young out of the searches to come, but for the full one; only in a process that is set up for it."""
    if _is_tuned:
        gc.freeze()


async def search_now_and_then(clock: Clock) -> None:
    """Search everything once an hour, for ever."""
    while True:
        await clock.sleep_ms(_FULL_SEARCH_MS)
        gc.unfreeze()
        gc.collect()
        gc.freeze()

"""When Python looks for reference cycles in a process that holds many rows.

Rows are immutable and never part of a cycle, so counting references frees them. Yet a full search walks all of them:
with the defaults the searches took a fifth of a scheduler's time under load. Cycles do occur, in exceptions and in
cancelled tasks, and are small and young: searches of the young generations find nearly all of them.
"""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 20_000, 5, 10_000
"""Objects that are made and kept until a search of the young; such searches until one of those that survived two; and
those until a full one. At full load that is every 50 ms, a third of a second, and about an hour. The middle search
stops everything for about 20 ms, as it walks a hundred thousand new rows: 50 instead of 5 would make it 200 ms."""


def tune_for_many_rows() -> None:
    """Set this process up for a server: call once, when everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)

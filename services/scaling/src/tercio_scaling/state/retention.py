"""How many events of each pool are kept: what the settings say, and no more than there is room for.

Events make room for each other, so that whatever happens to pools never keeps one from being scaled.
"""

from __future__ import annotations

from typing import Final

from tercio_scaling.state.rules import Rules
from tercio_scaling.state.tables import ScalingTables

EVENT_BYTES: Final = 400
"""About what an event takes in a snapshot: one with the words of six triggers."""
_LEAST: Final = 10
_SHARE: Final = 2
"""Events take no more than a half of what all rows may."""


def most_events(tables: ScalingTables, rules: Rules) -> int:
    """Return how many of each pool are kept."""
    room = rules.max_live_bytes // _SHARE // EVENT_BYTES // max(1, len(tables.pools))
    return max(_LEAST, min(rules.max_events, room))

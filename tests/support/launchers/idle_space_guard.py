"""Mutation: a full store is left to whoever fills and empties it; nobody compacts, defragments or lifts the alarm."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch
from tercio_common.journal.space import SpaceGuard

_CHECK_MS = 5_000


async def _look_away(guard: SpaceGuard) -> int:
    return _CHECK_MS


if __name__ == "__main__":
    mutated: Any = SpaceGuard
    mutated.look = _look_away
    launch()

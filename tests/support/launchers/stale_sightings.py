"""Mutation of G11: what was seen long ago decides as well as what is seen now."""

from __future__ import annotations

from typing import Any

from support.ground_driver import launch_scaling
from tercio_scaling.state.sightings import PoolSeen


def _always(seen: PoolSeen, stale: int) -> bool:
    return True


if __name__ == "__main__":
    mutated: Any = PoolSeen
    mutated.is_fresh = _always
    launch_scaling()

"""Mutation of G4: a grant looks at what a pool has, and not at what of it is granted."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch_resources
from tercio_resources.state.grants import Ledger
from tercio_resources.state.rows import PoolRow


def _all_of_it(ledger: Ledger, pool: PoolRow) -> int:
    return pool.capacity


if __name__ == "__main__":
    mutated: Any = Ledger
    mutated._free = _all_of_it
    launch_resources()

"""Mutation of G5: a grant does not look at what others hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.launchers.launch import launch_conflicts
from tercio_conflicts.state.commands import Item
from tercio_conflicts.state.grants import Ledger
from tercio_conflicts.state.rows import ClaimRow


def _nobody(ledger: Ledger, item: Item) -> Iterator[ClaimRow]:
    return iter(())


if __name__ == "__main__":
    mutated: Any = Ledger
    mutated.holders = _nobody
    launch_conflicts()

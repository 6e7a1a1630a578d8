"""What the processes of agents count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

MOST_TYPES: Final = 64
"""Types of tasks kept for one agent; the one that was not counted for the longest time goes first."""
MOST_TOTAL: Final = 1 << 56
"""Of one process, and of all former ones of an agent: sums over all types then stay within 64 bits, and a time of so
many microseconds, over two thousand years, can be told."""


class Totals(NamedTuple):
    """Attempts that a process has ended since it started, and how long those that succeeded ran, in microseconds."""

    succeeded: int = 0
    failed: int = 0
    run_micros: int = 0


NO_TOTALS = Totals()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one process of an agent has counted, by type of task."""

    agent_id: str
    instance_id: bytes
    types: tuple[tuple[str, Totals], ...]

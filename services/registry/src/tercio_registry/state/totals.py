"""What the processes of agents count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

MOST_TYPES: Final = 64
"""Types of tasks kept for one agent; the one that was not counted for the longest time goes first."""
MOST_TOTAL: Final = 1 << 56
"""Of one process, and of all former ones of an agent: sums over all types then stay within 64 bits, and a time of so
many microseconds, over two thousand years, can be told."""


MOST_MEASURES: Final = 8
"""Names that handlers may measure of one type of task: those of the contract's convention, and some of their own."""


class Measured(NamedTuple):
    """Of so many attempts handlers have measured something, and this is the sum, in millionths."""

    name: str
    times: int
    sum_micros: int


class Totals(NamedTuple):
    """Attempts that a process has ended since it started, and how long those that succeeded ran, in microseconds."""

    succeeded: int = 0
    failed: int = 0
    run_micros: int = 0
    measures: tuple[Measured, ...] = ()

    @property
    def size_bytes(self) -> int:
        """About what they take in a record, without the name of their type."""
        return 24 + sum(20 + len(each.name) for each in self.measures)


NO_TOTALS = Totals()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one process of an agent has counted, by type of task."""

    agent_id: str
    instance_id: bytes
    types: tuple[tuple[str, Totals], ...]

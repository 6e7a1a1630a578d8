"""What the processes of agents count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


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

"""Mutation of G11: a decision is what is wanted, whatever the bounds."""

from __future__ import annotations

from typing import Any

from support.ground_driver import launch_scaling
from tercio_scaling.state import decisions
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import Memory


def _everything(
    pool: AgentPool, before: int, wanted: int, memory: Memory, now: int, *, affordable: int | None
) -> tuple[int, tuple[Limit, ...]]:
    return wanted, ()


if __name__ == "__main__":
    mutated: Any = decisions
    mutated._limited = _everything
    launch_scaling()

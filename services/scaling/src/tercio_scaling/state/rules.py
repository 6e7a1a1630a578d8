"""The times and bounds by which pools are looked after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tercio_scaling.state.triggers.catalogue import TRIGGERS
from tercio_scaling.state.triggers.protocol import Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times in ms of fleet time, and bounds.

    Attributes:
        stale: what is seen and older than this decides nothing.
        history: how long events are kept.
        max_events: how many of each pool.
        max_pools: pools, and budgets, that there may be.
        max_live_bytes: about how much all rows may take.
        operators: principals that may change pools and budgets.
        triggers: those that pools may name.
    """

    stale: int = 30_000
    history: int = 86_400_000
    max_events: int = 1_000
    max_pools: int = 1_000
    max_live_bytes: int = 64 << 20
    operators: frozenset[str] = frozenset({"local", "replica"})
    triggers: Mapping[str, Trigger] = field(default_factory=lambda: TRIGGERS)

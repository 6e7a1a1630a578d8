"""Numbers that the decisions use. `apply` never reads them, so changing them does not change what a journal means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the scheduler's decisions are bounded by.

    Attributes:
        attempt_lease_ms: an agent not heard from for longer loses its attempts.
        granted_lease_ms: the same for attempts that hold resources, if that is longer.
        ageing_step_ms: waiting that raises a ready task's priority by one.
        patience_ms: who was refused resources for that long is passed by nobody.
        retention_ms: how long finished tasks are kept, in fleet time.
        retention_count: how many finished tasks are kept.
        live_bytes: what tasks may hold before commands that create work are refused.
    """

    attempt_lease_ms: int = 15_000
    granted_lease_ms: int = 45_000
    ageing_step_ms: int = 30_000
    patience_ms: int = 10_000
    retention_ms: int = 3_600_000
    retention_count: int = 200_000
    live_bytes: int = 512 << 20

"""How long to wait before the next try, and which errors deserve one."""

from __future__ import annotations

import random
from typing import Final

import grpc

from tercio.rpc.errors import CallError

RETRYABLE_REASONS: Final = frozenset(
    {"NOT_LEADER", "NO_LEADER", "OUTCOME_UNKNOWN", "DRAINING", "FORWARDING_LOOP", "REQUEST_IDS_FULL"},
)
"""Reasons after which the same request, with the same request id, may well succeed."""


def is_retryable(error: CallError) -> bool:
    """Tell whether the identical request may be sent again.

    UNAVAILABLE without a reason is gRPC's own: the connection failed, so whether the request had an effect is not
    known, and the request id makes the retry harmless.
    """
    if error.reason:
        return error.reason in RETRYABLE_REASONS
    return error.code is grpc.StatusCode.UNAVAILABLE


class Backoff:
    """Exponential waits with jitter: each is drawn between half of its bound and its bound.

    The lower half is never drawn, so that a server which refuses at once is not asked in a tight loop.
    """

    def __init__(
        self, *, initial_ms: int = 50, maximum_ms: int = 2_000, factor: float = 2.0, source: random.Random | None = None
    ) -> None:
        """Start with the first wait at most `initial_ms`; no wait is longer than `maximum_ms`."""
        self._initial_ms = initial_ms
        self._maximum_ms = maximum_ms
        self._factor = factor
        self._random = source or random.Random()
        self._bound_ms = float(initial_ms)

    def next_ms(self, *, at_least_ms: int = 0) -> int:
        """Return the next wait in milliseconds; a server that says when to come back is obeyed."""
        wait = self._random.uniform(self._bound_ms / 2, self._bound_ms)
        self._bound_ms = min(self._bound_ms * self._factor, float(self._maximum_ms))
        return max(round(wait), at_least_ms)

    def reset(self) -> None:
        """Start over after a success."""
        self._bound_ms = float(self._initial_ms)

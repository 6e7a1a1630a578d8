"""How many attempts an agent asks for beyond those that it can run at once."""

from __future__ import annotations

from typing import Final

MOST_PREFETCH: Final = 512

# About the time that a result needs to come back as a new offer, twice: short enough to leave work for other agents.
_HORIZON_MICROS: Final = 50_000

# A new run time weighs this much, so that about the last twenty count.
_WEIGHT: Final = 0.1


def prefetch_for(mean_run_micros: float | None, *, concurrency: int) -> int:
    """Return how many attempts to hold ready: the work of the next 50 ms, at most 512, and none until measured."""
    if mean_run_micros is None:
        return 0
    return min(MOST_PREFETCH, int(_HORIZON_MICROS * concurrency / max(mean_run_micros, 1.0)))


class Credit:
    """How many attempts the agent may hold in all: its concurrency and what it prefetches."""

    def __init__(self, *, concurrency: int) -> None:
        """Start without prefetch, for nothing is measured yet."""
        self._concurrency = concurrency
        self._mean_run_micros: float | None = None
        self._announced = 0

    def observe(self, run_micros: int) -> None:
        """Take one attempt's run time into the moving mean."""
        mean = self._mean_run_micros
        self._mean_run_micros = float(run_micros) if mean is None else mean + _WEIGHT * (run_micros - mean)

    @property
    def value(self) -> int:
        """The credit that the measurements suggest now."""
        return self._concurrency + prefetch_for(self._mean_run_micros, concurrency=self._concurrency)

    def announce(self) -> int:
        """Return the credit for the first message of a stream."""
        self._announced = self.value
        return self._announced

    def change(self) -> int:
        """Return the credit if it moved by more than an eighth since it was announced, else 0."""
        value = self.value
        if abs(value - self._announced) * 8 <= self._announced:
            return 0
        self._announced = value
        return value

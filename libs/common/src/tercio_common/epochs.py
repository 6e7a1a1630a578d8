"""Epochs: the total order of leaderships, from which every fencing token is made."""

from __future__ import annotations

from typing import NamedTuple


class Epoch(NamedTuple):
    """One term of leadership.

    Revisions of the store start again when it is restored or replaced, so the generation, raised by an operator,
    comes first.
    """

    generation: int
    revision: int

    def __str__(self) -> str:
        """Short form for logs: ``generation.revision``."""
        return f"{self.generation}.{self.revision}"


NO_EPOCH = Epoch(0, 0)
"""Lower than every real epoch."""

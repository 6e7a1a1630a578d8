"""Best fit: an amount comes from the pool with the least left in which it fits, so that large ones still find room."""

from __future__ import annotations

from collections.abc import Iterable


def best_fit(free: Iterable[tuple[int, str]], amount: int) -> tuple[int, str]:
    """Return the chosen pool's free amount and id; when it fits nowhere, those of a pool with the most left.

    `free` is not empty. Of equals the first by id is taken.
    """
    candidates = sorted(free)
    return next((candidate for candidate in candidates if candidate[0] >= amount), candidates[-1])

"""Built-in strategies for who is served first of those who wait."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tercio_common.strategies.protocol import Rank, Sharing, Waiter


def priority(waiter: Waiter) -> Rank:
    """Serve the highest priority first, of equals the tenant with the least, then who came first."""
    return (-waiter.priority, waiter.share, waiter.arrival)


def dominant_share(waiter: Waiter) -> Rank:
    """Serve the tenant with the least first, of equals the highest priority, then who came first."""
    return (waiter.share, -waiter.priority, waiter.arrival)


def arrival(waiter: Waiter) -> Rank:
    """Serve who came first."""
    return (waiter.arrival,)


BUILT_IN: Final[Mapping[str, Sharing]] = MappingProxyType(
    {each.__name__: each for each in (arrival, dominant_share, priority)}
)

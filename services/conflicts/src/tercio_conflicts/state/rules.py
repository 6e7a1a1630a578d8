"""The times and bounds by which is granted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times in ms of fleet time, and bounds.

    Attributes:
        grace: from the end of a lease, or from when a claim must yield, to the release.
        tombstone: how long an owner that was released is barred.
        ageing: waiting for this long raises the priority of a call, or of a request to release, by one.
        max_waiting: calls that may wait at once.
        owner_limit: claims that one owner may hold.
        max_live_bytes: about how much all rows may take.
    """

    grace: int = 5_000
    tombstone: int = 300_000
    ageing: int = 10_000
    max_waiting: int = 1_000
    owner_limit: int = 1_000
    max_live_bytes: int = 64 << 20

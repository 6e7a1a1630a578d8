"""The Election port: at most one candidate holds the role, with a higher epoch than all holders before.

A lease alone never gives mutual exclusion: what makes a leader's writes exclusive is the guard of `Journal.append` on
the epoch. The election only makes take-overs rare and quick.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tercio_common.epochs import Epoch


@dataclass(frozen=True, slots=True)
class Leadership:
    """A won election.

    Attributes:
        epoch: the term.
        since_boot_ms: boot-time clock from before the lease was granted; the lease is counted from here.
        lease: the implementation's own handle.
    """

    epoch: Epoch
    since_boot_ms: int
    lease: int


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, as others see it."""

    epoch: Epoch
    address: str


class Election(Protocol):
    """One service's election."""

    async def campaign(self, address: str) -> Leadership:
        """Wait until this candidate leads. Cancelling it leaves no claim behind.

        Raises:
            StoreUnavailableError: try again later.
        """
        ...

    async def renew(self, leadership: Leadership) -> None:
        """Extend the lease once; the caller counts it from before this call.

        Raises:
            LeadershipLostError: the lease is gone for good.
            StoreUnavailableError: no answer; the lease may or may not have been extended.
        """
        ...

    async def resign(self, leadership: Leadership) -> None:
        """Give the role up, so that another wins at once. Never raises; the lease ends by itself otherwise."""
        ...

    def observe(self) -> AsyncIterator[Leader | None]:
        """Give the present leader and every change of it, None while there is none; survives outages of the store."""
        ...

    async def generation(self) -> int:
        """Return the store's generation, from 1."""
        ...

    async def raise_generation(self) -> int:
        """Raise the generation by one after the store was restored or replaced; return the new one."""
        ...

    async def close(self) -> None:
        """Release connections and files."""
        ...

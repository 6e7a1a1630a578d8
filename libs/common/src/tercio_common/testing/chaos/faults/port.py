"""What a fault is."""

from __future__ import annotations

import random
from typing import Protocol

from tercio_common.testing.chaos.fleet import Fleet


class Fault(Protocol):
    """One fault, done once: an object is used for one `inject` and the one `heal` after it."""

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        """Do the harm; every choice comes from `rng` and from what the fleet is doing."""
        ...

    async def heal(self) -> None:
        """Undo what can be undone; what takes its time goes on after it."""
        ...

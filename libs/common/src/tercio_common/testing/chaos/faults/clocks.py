"""Faults of clocks: a machine whose time of day jumps."""

from __future__ import annotations

import random
from typing import Final

from tercio_common.testing.chaos.fleet import Fleet
from tercio_common.testing.chaos.skewed_clock import WallClock

_HOUR_MS: Final = 3_600_000


class WallJump:
    """The leader's wall clock jumps an hour, forward or back; healing sets it right again, by another jump."""

    def __init__(self) -> None:
        self._clock: WallClock | None = None

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        self._clock = (fleet.leader or rng.choice(fleet.replicas)).wall_clock
        self._clock.set_ahead(rng.choice((-_HOUR_MS, _HOUR_MS)))

    async def heal(self) -> None:
        if self._clock is not None:
            self._clock.set_ahead(0)

"""A driver of agents that are only counted: it starts nothing, and notes what it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tercio_common.clock import Clock
from tercio_common.epochs import Epoch
from tercio_scaling.drivers.catalogue import Drivers
from tercio_scaling.drivers.protocol import STARTING, Driver, Member, Target, View
from tercio_scaling.settings import ScalingSettings


class Crew(Drivers):
    """A driver of every pool: agents that are always about to start."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(ScalingSettings(), clock)
        self._clock, self._since = clock, clock.wall_ms()
        self.asked: list[int] = []
        self.named: list[tuple[str, ...]] = []
        self.agents = self.looks = 0

    def get(self, name: str) -> Driver:
        return self

    async def fence(self, target: Target, epoch: Epoch) -> None:
        """Nobody else is there."""

    async def view(self, target: Target) -> View:
        self.looks += 1
        members = [Member(f"a{number}", STARTING, self._since, str(number)) for number in range(self.agents)]
        return View(self.agents, tuple(members))

    async def scale(self, target: Target, epoch: Epoch) -> View:
        self.asked.append(target.agents)
        self.named.append(target.victims)
        self.agents = target.agents
        return await self.view(target)

    async def changes(self, target: Target) -> AsyncIterator[None]:
        while True:
            yield
            await self._clock.sleep_ms(100)

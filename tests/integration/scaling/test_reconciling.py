"""A driver is never asked to let agents go whom nobody chose: who that is, the state has to say first."""

from __future__ import annotations

from collections.abc import AsyncIterator

from support.scaling import AgentPool, running_scaling
from tercio_common.epochs import Epoch
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_scaling.drivers.catalogue import Drivers
from tercio_scaling.drivers.protocol import RUNNING, Driver, Member, Target, View
from tercio_scaling.settings import ScalingSettings


class Crew(Drivers):
    """A driver of everything, which notes what it is asked for."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(ScalingSettings(), clock)
        self._clock = clock
        self.asked: list[int] = []
        self.agents = self.looks = 0

    def get(self, name: str) -> Driver:
        return self

    async def fence(self, target: Target, epoch: Epoch) -> None:
        """Nobody else is there."""

    async def view(self, target: Target) -> View:
        self.looks += 1
        members = [Member(f"a{number}", RUNNING, 0, str(number)) for number in range(self.agents)]
        return View(self.agents, tuple(members))

    async def scale(self, target: Target, epoch: Epoch) -> View:
        self.asked.append(target.agents)
        self.agents = target.agents
        return await self.view(target)

    async def changes(self, target: Target) -> AsyncIterator[None]:
        while True:
            yield
            await self._clock.sleep_ms(100)


async def test_agents_that_came_since_the_decision_stay_until_they_are_chosen(
    store: MemoryStore, clock: ManualClock
) -> None:
    crew = Crew(clock)

    async def is_driven() -> bool:
        await clock.advance(200)
        return crew.asked == [2]

    async with running_scaling(store, clock=clock, drivers=crew) as scaling:
        await scaling.apply(added=AgentPool.Added(name="crew", spec_json="{}"), min_agents=2)
        await eventually(is_driven)
        crew.agents, looks = 4, crew.looks

        async def has_looked_again() -> bool:
            await clock.advance(200)
            return crew.looks > looks + 10

        await eventually(has_looked_again)
        assert crew.asked == [2]
        assert crew.agents == 4

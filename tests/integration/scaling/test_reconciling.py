"""A driver is asked to let those go who were chosen, and told when one of them stays after all."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from support.crew import Crew
from support.scaling import AgentPool, Scaling, running_scaling
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_scaling.drivers.protocol import Target
from tercio_scaling.state.sightings import Demand, MemberSeen, PoolSeen


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


async def test_who_was_to_leave_and_stays_because_another_one_left_is_known_as_a_victim_no_more(
    store: MemoryStore, clock: ManualClock
) -> None:
    crew = Crew(clock)

    async def sees_and_asks(scaling: Scaling, asked: list[int]) -> bool:
        await clock.advance(200)
        members = [MemberSeen(*member) for member in (await crew.view(Target("p", {}, 0))).members]
        fresh = {"demand_age": 0, "agents_age": 0, "view_age": 0, "watched": 3_600_000}
        await scaling.see(PoolSeen("p", demand=Demand(), members=tuple(members), asked=crew.agents, **fresh))
        return crew.asked == asked

    async with running_scaling(store, clock=clock, drivers=crew) as scaling:
        patience = Duration(seconds=3_600)
        await scaling.apply(added=AgentPool.Added(name="crew", spec_json="{}"), min_agents=1, startup_timeout=patience)
        await eventually(lambda: sees_and_asks(scaling, [1]))
        await scaling.scale(3)
        await eventually(lambda: sees_and_asks(scaling, [1, 3]))
        await scaling.scale(2)
        await eventually(lambda: sees_and_asks(scaling, [1, 3, 2, 2]))
        assert crew.named == [(), (), ("a0",), ()]

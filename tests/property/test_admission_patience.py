"""A large need is met under an endless stream of small ones, with the real machines of both services."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from support.resources_machine import Driver, spec
from support.scheduler_drive import Drive
from tercio_common.machine.outbox import AcknowledgeOutbox
from tercio_resources.state.commands import Allocate, Release
from tercio_scheduler.effects.admit import Round
from tercio_scheduler.state.admission import owner_of
from tercio_scheduler.state.commands import AttemptKey, StartAdmissions
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.participants import RESOURCES, release_kind, released_owner
from tercio_scheduler.state.rows import LIVE_ATTEMPT, Needs, State, Template
from tercio_scheduler.state.shortages import Gap, Shortage

STEP_MS, PATIENCE_MS = 200, 2_000
CAPACITY = 1_000


class Stream(NamedTuple):
    """The small ones: how much each needs, for how many steps each runs, and how many come at each step."""

    needs: tuple[int, ...]
    steps: int
    burst: int


class Simulation:
    """Two services and one agent, in steps."""

    def __init__(self, stream: Stream, *, patience_ms: int = PATIENCE_MS) -> None:
        self.stream = stream
        self.scheduler, self.resources = Drive(Limits(patience_ms=patience_ms)), Driver()
        self.scheduler.attach(concurrency=60)
        self.step = self.submitted = 0
        self.since: dict[str, int] = {}

    async def ask(
        self, keys: Sequence[AttemptKey], needs: Sequence[Needs], *, request_id: str
    ) -> Mapping[int, Shortage]:
        """Ask the resources service, as its participant does."""
        specs = tuple(spec(dict(each.resources)) for each in needs)
        owners = tuple(map(owner_of, keys))
        answer = self.resources.do(Allocate(specs=specs, owners=owners, indexes=tuple(range(len(specs)))))
        now, seq = self.scheduler.now, self.resources.seq
        return {
            place: Shortage(each.reason, tuple(Gap(g.dimension, g.required, *g.bound) for g in each.gaps), now, seq)
            for place, each in answer.shortages.items()
        }

    def submit(self, task_id: str, amount: int) -> None:
        self.scheduler.submit(task_id, template=Template(task_type="work", resources=(("cpu", amount),)))

    async def go(self) -> None:
        """Let small ones come and end, and admit what can be admitted."""
        self.step += 1
        scheduler, needs = self.scheduler, self.stream.needs
        for _ in range(self.stream.burst):
            self.submitted += 1
            self.submit(f"small-{self.submitted}", needs[self.submitted % len(needs)])
        for task_id in [each for each, since in self.since.items() if self.step - since >= self.stream.steps]:
            del self.since[task_id]
            scheduler.end(task_id)
        scheduler.pass_time(STEP_MS)
        scheduler.session.renew("agent", now=scheduler.now)
        rows = list(scheduler.machine.outbox.pending(release_kind(RESOURCES), committed=scheduler.seq))
        for first in range(0, len(rows), 2):  # they come in parts, so that small ones find gaps at any time
            ids = tuple(row.entry_id for row in rows[first : first + 2])
            self.resources.do(Release(owners=tuple(map(released_owner, ids))))
            scheduler.propose(AcknowledgeOutbox(ids))
            scheduler.session.shortages.changed(RESOURCES, self.resources.seq)
            await self.admit()
        await self.admit()

    async def admit(self) -> None:
        scheduler = self.scheduler
        while (asked := scheduler.propose(StartAdmissions())).keys:
            saga = Round(asked, scheduler.session.shortages)
            await saga.ask(RESOURCES, self, request_id="r")  # type: ignore[arg-type]
            scheduler.propose(saga.settled())
        for task_id in scheduler.dispatch().get("agent", ()):
            self.since[task_id] = self.step
        granted = sum(row.lot.parts[0].amount for row in self.resources.rows())
        assert granted <= CAPACITY

    def runs(self, task_id: str) -> bool:
        return self.scheduler.state(task_id) in LIVE_ATTEMPT


async def _steps_until_large_runs(simulation: Simulation, *, large: int, most: int) -> int:
    for _ in range(3):
        await simulation.go()
    simulation.submit("large", large)
    for step in range(most):
        await simulation.go()
        if simulation.runs("large"):
            return step
    return most


streams = st.builds(
    Stream,
    needs=st.lists(st.integers(1, 8).map(lambda n: n * 25), min_size=1, max_size=3).map(tuple),
    steps=st.integers(1, 5),
    burst=st.integers(1, 40),
)


@given(stream=streams, large=st.integers(8, 20).map(lambda n: n * 50))
@settings(max_examples=60, deadline=None)
def test_a_large_need_is_met_within_its_patience_and_the_time_that_small_ones_run(stream: Stream, large: int) -> None:
    simulation = Simulation(stream)
    # Those that were submitted before it go first: at most three bursts, of which some ended already.
    older = 3 * stream.burst * max(stream.needs) // (CAPACITY - max(stream.needs)) + 1
    most = PATIENCE_MS // STEP_MS + (older + 2) * stream.steps + 2
    steps = asyncio.run(_steps_until_large_runs(simulation, large=large, most=most))
    assert steps < most
    assert simulation.scheduler.state("large") is not State.ADMITTING


def test_without_patience_the_same_stream_would_keep_it_waiting() -> None:
    stream = Stream(needs=(100,), steps=2, burst=12)
    for patience_ms, starves in ((PATIENCE_MS, False), (10**9, True)):
        simulation = Simulation(stream, patience_ms=patience_ms)
        steps = asyncio.run(_steps_until_large_runs(simulation, large=900, most=60))
        assert (steps == 60) is starves

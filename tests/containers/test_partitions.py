"""Every promise holds while real networks are cut: between members of etcd, to the store, to agents and clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.containers import ContainerFleet, container_fleet
from support.workload import Workload, agents, point_at
from tercio import Client, Context, TaskState
from tercio_common.testing.history import Verdict, judge, recorded

pytestmark = pytest.mark.timeout(180)

_BATCH = 300
_CUT_S = 5.0
"""Longer than an election of etcd takes."""


@pytest.fixture
async def fleet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ContainerFleet]:
    async with container_fleet() as running:
        point_at(",".join(running.addresses), environment=monkeypatch)
        yield running


async def _work(task: Context) -> bytes:
    await asyncio.sleep(0.01)
    return task.payload


class _Run:
    """Work that goes on while something is cut."""

    def __init__(self, fleet: ContainerFleet, recording: Path) -> None:
        self._fleet = fleet
        self._recording = recording
        self.submitted = 0

    async def through(self, *cuts: _Cut) -> Verdict:
        """Submit before, during and after each cut; every task succeeds."""
        async with (
            recorded(self._fleet.journal, self._recording) as recorder,
            agents(2, task_type="work", handler=_work),
            Client() as client,
        ):
            work = Workload(client, recorder)
            for cut in cuts:
                under_way = work.resolved + 1  # what is cut off has done something before
                await self._submit(work)
                await work.until_resolved(under_way)
                await cut.begin()
                await self._submit(work)
                await asyncio.sleep(_CUT_S)
                cut.end()
            await self._submit(work)
            states = Counter(await work.states())
            await work.note_listing()
        assert states == {TaskState.SUCCEEDED: self.submitted}
        return judge(self._recording).demand()

    async def _submit(self, work: Workload) -> None:
        self.submitted += _BATCH
        await work.submit(_BATCH, task_type="work", payload="x")


class _Cut:
    """One way that is cut; by default that of a member of etcd to the others, who still reaches its clients."""

    def __init__(self, fleet: ContainerFleet, number: int = -1) -> None:
        self.fleet = fleet
        self.number = number

    async def begin(self) -> None:
        self.fleet.peers.disconnect(self.fleet.members[self.number])

    def end(self) -> None:
        self.fleet.peers.connect(self.fleet.members[self.number], self.number)


class _LeaderFromStore(_Cut):
    async def begin(self) -> None:
        self.number, term = await self.fleet.leader_after(None)
        self.fleet.store.disconnect(self.fleet.replicas[self.number])
        await self.fleet.leader_after(term)

    def end(self) -> None:
        # Members have the first addresses there.
        self.fleet.store.connect(self.fleet.replicas[self.number], len(self.fleet.members) + self.number)


class _LeaderFromAgents(_Cut):
    async def begin(self) -> None:
        self.number, _ = await self.fleet.leader_after(None)
        self.fleet.front.disconnect(self.fleet.replicas[self.number])

    def end(self) -> None:
        self.fleet.front.connect(self.fleet.replicas[self.number], self.number)


async def test_each_member_of_etcd_is_cut_off_from_the_others_in_turn(fleet: ContainerFleet, tmp_path: Path) -> None:
    cuts = [_Cut(fleet, number) for number in range(len(fleet.members))]
    await _Run(fleet, tmp_path / "recording").through(*cuts)


async def test_the_leader_is_cut_off_from_etcd_and_another_one_takes_over(
    fleet: ContainerFleet, tmp_path: Path
) -> None:
    verdict = await _Run(fleet, tmp_path / "recording").through(_LeaderFromStore(fleet))
    assert verdict.epochs >= 2


async def test_agents_and_clients_are_cut_off_from_the_leader(fleet: ContainerFleet, tmp_path: Path) -> None:
    await _Run(fleet, tmp_path / "recording").through(_LeaderFromAgents(fleet))

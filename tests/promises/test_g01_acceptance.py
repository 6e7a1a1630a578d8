"""G1: an accepted task survives `kill -9` of a process and of members of etcd, and ends or stays visibly queued."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from support.processes import SCHEDULER, Fleet, fleet_on
from support.workload import Workload, agents
from tercio import Client, Context, TaskState
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import Verdict, judge, recorded

_TASKS = 400
_BATCH = 300
_OUTAGE_S = 3.0
"""Longer than the leader's lease."""


async def _kill_while_submitting(fleet: Fleet, recording: Path, aim: Callable[[str], None], *, module: str) -> Verdict:
    """Kill the leader right after an acknowledgement; a plain replica then lists what there is."""
    first = await fleet.add(module)
    second = await fleet.add()
    aim(first.address)
    async with recorded(fleet.journal, recording) as recorder:
        async with Client() as client:
            work = Workload(client, recorder)
            await work.submit(_TASKS, task_type="nobody-runs-this")
            await eventually(lambda: work.acknowledged > 0)
            first.kill()
            await asyncio.sleep(0)
            await work.give_up()
        await second.leading()
        aim(second.address)
        async with Client() as client:
            await Workload(client, recorder).note_listing()
    return judge(recording)


async def test_what_was_acknowledged_before_a_kill_is_listed_after_it(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    (await _kill_while_submitting(fleet, recording, aim, module=SCHEDULER)).demand()


async def test_replies_before_the_commit_would_be_found_out(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    verdict = await _kill_while_submitting(fleet, recording, aim, module="support.launchers.eager_replies")
    assert verdict.broken() == {"G1"}


async def _work(task: Context) -> bytes:
    await asyncio.sleep(0.005)
    return task.payload


@pytest.mark.timeout(120)
async def test_no_accepted_task_is_lost_when_a_minority_of_etcd_dies_under_load_and_then_all_of_it(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, recording: Path, aim: Callable[[str], None]
) -> None:
    etcd = start_etcd(members=3)
    async with fleet_on(etcd.endpoints, folder=tmp_path) as fleet:
        await fleet.add_all(2)
        aim(fleet.address)
        async with (
            recorded(fleet.journal, recording) as recorder,
            agents(2, task_type="work", handler=_work, concurrency=16),
            Client() as client,
        ):
            work = Workload(client, recorder)
            # Each in turn, so that whichever leads etcd is among them.
            for member in range(3):
                await work.submit(_BATCH, task_type="work", payload="before")
                etcd.kill(member)
                await work.submit(_BATCH, task_type="work", payload="after")
                await work.until_resolved((2 * member + 1) * _BATCH + _BATCH // 2)
                await asyncio.to_thread(etcd.restart, member)
            await work.submit(_BATCH, task_type="work", payload="at last")
            for member in range(3):
                etcd.kill(member)
            await asyncio.sleep(_OUTAGE_S)
            for member in range(3):
                etcd.restart(member, wait=False)
            states = Counter(await work.states())
            await work.note_listing()
    assert states == {TaskState.SUCCEEDED: 7 * _BATCH}
    judge(recording).demand()

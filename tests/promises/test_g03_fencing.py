"""G3: at most one leader's writes commit. G1 and G2 hold while leaders are killed and stopped in their tracks."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.launchers.stale_ports import GATE_FOLDER, HOLD, HOLDING, OUTCOME
from support.processes import SHORT_LEASE, Fleet
from support.workload import Workload, agents
from tercio import Client, Context, TaskState
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import judge, recorded

_TASKS = 5_000
_WORK_S = 0.005
_TTL_S = SHORT_LEASE["TTL_MS"] / 1000


async def _work(task: Context) -> bytes:
    await asyncio.sleep(_WORK_S)
    return task.payload


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return the folder through which the stale leader's gate is worked."""
    folder = tmp_path / "gate"
    folder.mkdir()
    return folder


@pytest.mark.timeout(90)
async def test_no_task_is_lost_or_completed_twice_while_one_leader_is_killed_and_the_next_one_stopped(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    await fleet.add_all(3)
    aim(fleet.address)
    async with (
        recorded(fleet.journal, recording) as recorder,
        agents(2, task_type="work", handler=_work, concurrency=16),
        Client() as client,
    ):
        work = Workload(client, recorder)
        first, term = await fleet.leader_after(None)
        await work.submit(_TASKS * 2 // 5, task_type="work", payload="x")
        await work.until_resolved(_TASKS // 10)
        first.kill()
        seen = work.resolved
        await work.submit(_TASKS * 2 // 5, task_type="work", payload="y")
        second, term = await fleet.leader_after(term)
        await work.until_resolved(seen + _TASKS // 4)
        second.pause()
        await work.submit(_TASKS // 5, task_type="work", payload="z")
        await asyncio.sleep(2 * _TTL_S)
        second.resume()
        third, _ = await fleet.leader_after(term)
        states = Counter(await work.states())
        await work.note_listing()
    assert third not in (first, second)
    assert states == {TaskState.SUCCEEDED: _TASKS}
    verdict = judge(recording).demand()
    assert verdict.epochs == 3


async def _stale_run(fleet: Fleet, recording: Path, gate: Path, aim: Callable[[str], None], *, module: str) -> Any:
    """Queue a command, stop the leader until another one has written, let it go on; return what etcd said to it."""
    stale = await fleet.add(module, settings={GATE_FOLDER: str(gate)})
    fresh = await fleet.add()
    _, term = await fleet.leader_after(None)
    async with recorded(fleet.journal, recording) as recorder:
        aim(stale.address)
        async with Client() as client:
            await client.submit("work", task_id="before")
            (gate / HOLD).touch()
            client.enqueue("work", task_id="queued")
            await eventually((gate / HOLDING).exists)
        stale.pause()
        assert (await fleet.leader_after(term))[0] is fresh
        await fresh.leading()
        aim(fresh.address)
        async with Client() as client:
            work = Workload(client, recorder)
            work.follow(await client.submit("work", task_id="after"))
            stale.resume()
            await eventually((gate / OUTCOME).exists)
            outcome = json.loads((gate / OUTCOME).read_text())
            if outcome["refusals"]:
                await work.note_listing()
            await work.give_up()
    return outcome


async def test_the_fence_alone_stops_a_leader_that_does_not_notice_that_it_was_replaced(
    fleet: Fleet, recording: Path, gate: Path, aim: Callable[[str], None]
) -> None:
    outcome = await _stale_run(fleet, recording, gate, aim, module="support.launchers.stale_leader")
    assert outcome["refusals"] >= 1
    assert judge(recording).demand().epochs == 2


async def test_without_the_fence_the_stale_record_shows_in_the_history(
    fleet: Fleet, recording: Path, gate: Path, aim: Callable[[str], None]
) -> None:
    outcome = await _stale_run(fleet, recording, gate, aim, module="support.launchers.unfenced_leader")
    assert outcome["refusals"] == 0
    broken = judge(recording).violations
    assert {violation.check for violation in broken} >= {"EpochsNeverGoBack", "SequenceIsDense"}

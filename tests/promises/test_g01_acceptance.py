"""G1: an accepted task survives `kill -9`, and ends or stays visibly queued."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from support.processes import SCHEDULER, Fleet
from support.workload import Workload
from tercio import Client
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import Verdict, judge, recorded

_TASKS = 400


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

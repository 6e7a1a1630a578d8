"""A wall clock that jumps an hour moves no deadline by an hour: nothing expires early, and nothing waits for ever."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.processes import ROOT, SCHEDULER
from tercio import Client, TaskError, TaskState
from tercio_common.testing.chaos.fleet import FleetPlan, running_fleet
from tools.etcd_binary import find_or_build

_HOUR_MS = 3_600_000
_SOON, _LATER = timedelta(seconds=1), timedelta(minutes=30)
_WAITS = "nobody-runs-this"


async def _state_of_the_later(folder: Path, *, module: str, jump_ms: int) -> TaskState:
    """Let a clock jump while one task is due in half an hour; return its state once one that is due soon expired."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    plan = FleetPlan(replicas=1, agents=0, module=module, environment={"PYTHONPATH": path})
    async with (
        running_fleet(plan, binary=find_or_build(), folder=folder) as fleet,
        Client(address=fleet.address) as client,
    ):
        later = await client.submit(_WAITS, deadline=datetime.now(UTC) + _LATER)
        fleet.replicas[0].wall_clock.set_ahead(jump_ms)
        soon = await client.submit(_WAITS, deadline_in=_SOON)
        with pytest.raises(TaskError):
            await soon.result()
        return TaskState((await client.get(later.task_id)).state)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("jump_ms", [_HOUR_MS, -_HOUR_MS], ids=["ahead", "back"])
async def test_only_the_deadline_that_is_due_expires_while_the_clock_is_an_hour_off(
    tmp_path: Path, jump_ms: int
) -> None:
    assert await _state_of_the_later(tmp_path, module=SCHEDULER, jump_ms=jump_ms) is TaskState.READY


@pytest.mark.timeout(60)
async def test_deadlines_that_follow_the_jump_would_be_found_out(tmp_path: Path) -> None:
    mutation = "support.launchers.unslewed_wall"
    assert await _state_of_the_later(tmp_path, module=mutation, jump_ms=_HOUR_MS) is TaskState.FAILED

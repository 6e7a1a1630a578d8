"""Agents as supervised processes: as many as asked for, exactly the victims leave, and none outlives the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.cli_processes import alive
from tercio_common.clock import SystemClock
from tercio_common.epochs import Epoch
from tercio_common.testing.eventually import eventually
from tercio_scaling.drivers.local import LocalDriver
from tercio_scaling.drivers.local_settings import LocalSettings
from tercio_scaling.drivers.protocol import FAILED, LEAVING, RUNNING, Fenced, Refused, Target, View

FIRST, SECOND = Epoch(1, 5), Epoch(1, 9)
STUBBORN = (sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(60)")
WELL_BEHAVED = ("sleep", "60")
QUICK = LocalSettings(stop_grace_ms=200, close_grace_ms=200, restart_ms=10)


class Pool:
    """One pool of a driver that somebody looks after."""

    def __init__(self, driver: LocalDriver, command: Sequence[str], **spec: Any) -> None:
        self.driver, self.spec = driver, {"command": list(command), **spec}
        self.views: list[View] = []

    def target(self, agents: int = 0, *victims: str) -> Target:
        return Target("pool", self.spec, agents, victims)

    async def scale(self, agents: int, *victims: str, epoch: Epoch = FIRST) -> View:
        return await self.driver.scale(self.target(agents, *victims), epoch)

    async def follow(self) -> None:
        async for _ in self.driver.changes(self.target()):
            self.views.append(await self.driver.view(self.target()))

    async def until(self, holds: Callable[[View], bool]) -> View:
        async def look() -> View | None:
            view = await self.driver.view(self.target())
            return view if holds(view) else None

        view = await eventually(look)
        assert view is not None
        return view


@contextlib.asynccontextmanager
async def pool_of(command: Sequence[str], *, settings: LocalSettings = QUICK, **spec: Any) -> AsyncIterator[Pool]:
    driver = LocalDriver(settings, SystemClock())
    pool = Pool(driver, command, **spec)
    following = asyncio.create_task(pool.follow())
    try:
        yield pool
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await driver.close()


def members(view: View, phase: str = RUNNING) -> list[str]:
    return [member.agent_id for member in view.members if member.phase == phase]


async def test_as_many_run_as_are_asked_for_and_exactly_the_victims_leave() -> None:
    async with pool_of(WELL_BEHAVED) as pool:
        assert members(await pool.scale(4)) == ["pool-1", "pool-2", "pool-3", "pool-4"]
        view = await pool.scale(2, "pool-2", "pool-3")
        assert members(view) == ["pool-1", "pool-4"]
        assert members(view, LEAVING) == ["pool-2", "pool-3"]
        view = await pool.until(lambda view: len(view.members) == 2)
        assert view.asked == 2
        assert members(await pool.scale(3)) == ["pool-1", "pool-4", "pool-5"]


async def test_without_victims_the_youngest_leaves() -> None:
    async with pool_of(WELL_BEHAVED) as pool:
        await pool.scale(1)
        await pool.until(lambda view: bool(members(view)))
        await pool.scale(2)
        assert members(await pool.scale(1)) == ["pool-1"]


async def test_one_that_ends_is_started_again_under_its_name() -> None:
    async with pool_of(WELL_BEHAVED, settings=QUICK.model_copy(update={"restart_ms": 100})) as pool:
        (before,) = (await pool.scale(1)).members
        os.kill(int(before.uid), signal.SIGKILL)
        await pool.until(lambda view: members(view, FAILED) == ["pool-1"])
        (after,) = (await pool.until(lambda view: members(view) == ["pool-1"])).members
        assert after.uid != before.uid
        assert after.since_ms >= before.since_ms


async def test_one_that_cannot_start_is_tried_again_less_and_less_often(tmp_path: Path) -> None:
    counted = tmp_path / "starts"
    counted.touch()
    command = ("sh", "-c", f"echo x >> {counted}; exit 1")
    settings = QUICK.model_copy(update={"restart_ms": 20, "most_restart_ms": 10_000})
    async with pool_of(command, settings=settings) as pool:
        began = time.monotonic()
        await pool.scale(1)
        await eventually(lambda: len(counted.read_text().splitlines()) >= 5)
        # 20 + 40 + 80 + 160 ms lie between five starts.
        assert time.monotonic() - began >= 0.3
        assert members(await pool.until(lambda view: bool(members(view, FAILED))), FAILED) == ["pool-1"]


async def test_one_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    async with pool_of(STUBBORN) as pool:
        (member,) = (await pool.scale(1)).members
        await pool.scale(0, "pool-1")
        await pool.until(lambda view: not view.members)
        assert not alive(int(member.uid))


async def test_a_command_that_cannot_be_started_at_all_is_refused(tmp_path: Path) -> None:
    async with pool_of(WELL_BEHAVED, directory=str(tmp_path / "missing")) as pool:
        with pytest.raises(Refused, match="missing") as refused:
            await pool.scale(1)
        assert refused.value.reason == "CannotStart"


async def test_an_older_leader_writes_nothing() -> None:
    async with pool_of(WELL_BEHAVED) as pool:
        await pool.scale(1)
        await pool.driver.fence(pool.target(), SECOND)
        with pytest.raises(Fenced):
            await pool.scale(3, epoch=FIRST)
        with pytest.raises(Fenced):
            await pool.driver.fence(pool.target(), FIRST)
        assert (await pool.driver.view(pool.target())).asked == 1
        assert (await pool.scale(2, epoch=SECOND)).asked == 2


async def test_names_are_filled_in_and_told(tmp_path: Path) -> None:
    said = tmp_path / "{agent_id}"
    command = ("sh", "-c", f'echo "$TERCIO_AGENT_ID $TERCIO_POOL $KIND" > {said}; exec sleep 60')
    async with pool_of(command, environment={"KIND": "{pool_id}/x"}) as pool:
        await pool.scale(1)
        file = tmp_path / "pool-1"
        assert await eventually(lambda: file.exists() and file.read_text()) == "pool-1 pool pool/x\n"


async def test_no_agent_outlives_the_driver() -> None:
    async with pool_of(STUBBORN) as pool:
        view = await pool.scale(2)
    assert not [member for member in view.members if alive(int(member.uid))]


HOLDER = """
import asyncio, sys
from tercio_common.clock import SystemClock
from tercio_common.epochs import Epoch
from tercio_scaling.drivers.local import LocalDriver
from tercio_scaling.drivers.local_settings import LocalSettings
from tercio_scaling.drivers.protocol import Target

async def main():
    driver = LocalDriver(LocalSettings(), SystemClock())
    script = "echo $$; exec sleep 60"
    view = await driver.scale(Target("pool", {"command": ["sh", "-c", script]}, 2), Epoch(1, 1))
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_no_agent_outlives_a_service_that_is_killed() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    agents = [int(await asyncio.wait_for(process.stdout.readline(), 20)) for _ in range(2)]
    assert all(map(alive, agents))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await eventually(lambda: not any(map(alive, agents)))

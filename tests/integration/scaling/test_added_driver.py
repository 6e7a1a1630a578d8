"""A driver of another package is found by its entry point; the one of the manual works as it is written there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.manuals import code_of, install
from support.scaling import AgentPool, running_scaling
from tercio_common.epochs import Epoch
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_scaling.drivers.catalogue import GROUP, Drivers
from tercio_scaling.drivers.protocol import Fenced, Refused, Target
from tercio_scaling.settings import ScalingSettings

MODULE = "added_driver_plugin"


@pytest.fixture(autouse=True)
def _import_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)


@pytest.fixture
def drivers(tmp_path: Path, clock: ManualClock) -> Drivers:
    """Return drivers among which is the one of the manual."""
    code = code_of("add-a-driver.md")
    install(tmp_path, module=MODULE, code=code, group=GROUP, entry=f"memory = {MODULE}:MemoryDriver")
    return Drivers(ScalingSettings(), clock)


async def test_the_driver_of_the_manual_brings_agents_lets_victims_go_and_refuses_a_former_leader(
    drivers: Drivers,
) -> None:
    driver, older, newer = drivers.get("memory"), Epoch(1, 1), Epoch(1, 2)
    await driver.fence(Target("p", {}, 0), older)
    view = await driver.scale(Target("p", {}, 3), older)
    assert (view.asked, [member.agent_id for member in view.members]) == (3, ["p-1", "p-2", "p-3"])
    view = await driver.scale(Target("p", {}, 2, ("p-1",)), newer)
    assert [member.agent_id for member in view.members] == ["p-2", "p-3"]
    with pytest.raises(Fenced):
        await driver.scale(Target("p", {}, 9), older)
    await drivers.close()


async def test_a_pool_that_names_it_is_driven(drivers: Drivers, store: MemoryStore, clock: ManualClock) -> None:
    async with running_scaling(store, clock=clock, drivers=drivers) as scaling:
        await scaling.apply(added=AgentPool.Added(name="memory", spec_json="{}"), min_agents=2)
        driver = drivers.get("memory")

        async def has_both() -> bool:
            await clock.advance(200)  # it looks what there is before it changes anything
            return len((await driver.view(Target("p", {}, 0))).members) == 2

        await eventually(has_both)


def test_a_driver_that_is_not_installed_or_cannot_be_made_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    install(
        tmp_path, module=MODULE, code="def broken(settings, clock): 1 / 0\n", group=GROUP, entry=f"x = {MODULE}:broken"
    )
    drivers = Drivers(ScalingSettings(), clock)
    for name, reason in (("nothing", "NoSuchDriver"), ("x", "DriverUnusable")):
        with pytest.raises(Refused) as caught:
            drivers.get(name)
        assert caught.value.reason == reason

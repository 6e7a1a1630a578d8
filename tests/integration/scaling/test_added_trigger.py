"""A trigger of another package is found by its entry point; the one of the manual works as it is written there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.manuals import code_of, install
from support.scaling import running_scaling, seen
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.sightings import AgentSeen
from tercio_scaling.triggers import GROUP, installed_triggers

MODULE = "added_trigger_plugin"
FAILS = "def fails(pool, seen):\n    raise LookupError('no idea')\n"


@pytest.fixture(autouse=True)
def _import_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)


def busy(count: int) -> tuple[AgentSeen, ...]:
    return tuple(AgentSeen(f"a{number}", held=1) for number in range(count))


async def test_the_trigger_of_the_manual_is_heard(tmp_path: Path, store: MemoryStore, clock: ManualClock) -> None:
    code = code_of("add-a-trigger.md")
    install(tmp_path, module=MODULE, code=code, group=GROUP, entry=f"spare_slots = {MODULE}:spare_slots")
    async with running_scaling(store, clock=clock) as scaling:
        await scaling.apply(triggers=["spare_slots"], min_agents=4, up_step=10)
        await scaling.see(seen("p", "a0", "a1", "a2", "a3")._replace(agents=busy(4)))
        (event,) = await scaling.events('kind = "SCALED_UP" AND rule = "spare_slots"')
        assert (event.before_count, event.after_count) == (4, 5)
        assert event.reason == "4 slots are busy, and a quarter is spare"


def test_a_trigger_that_fails_keeps_everybody_and_says_why(tmp_path: Path) -> None:
    install(tmp_path, module=MODULE, code=FAILS, group=GROUP, entry=f"fails = {MODULE}:fails")
    said = installed_triggers()["fails"](AgentPool("p"), Observation(ready=3))
    assert said is not None
    assert (said.trigger, said.agents, said.why) == ("fails", 3, "it failed, so nobody leaves: LookupError: no idea")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(f"queue_depth = {MODULE}:fails", "two triggers are named queue_depth", id="a name that is taken"),
        pytest.param(f"x = {MODULE}:NAME", "is no trigger", id="no function"),
    ],
)
def test_what_is_no_trigger_is_refused_at_the_start(tmp_path: Path, entry: str, message: str) -> None:
    install(tmp_path, module=MODULE, code=f"{FAILS}NAME = 'x'\n", group=GROUP, entry=entry)
    with pytest.raises(ValueError, match=message):
        installed_triggers()

"""The checks of pools see what they are for, on histories made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from tercio_common.epochs import Epoch
from tercio_common.records.v1 import record_pb2
from tercio_common.testing.history import (
    CUT_OFF,
    DRIVEN,
    RECONNECTED,
    STORE,
    TOLD_TO_END,
    WORKED,
    Observation,
    scaling_checks,
)
from tercio_common.testing.history.checks import Entry
from tercio_scaling.codec import decode_event, encode_event
from tercio_scaling.state.events import EventsNoted, PoolAdvanced, PoolApplied, PoolForgotten
from tercio_scaling.state.observations import Observation as Inputs
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.rows import EventKind, EventRow, PoolRow, StateRow, SurgeRow, VictimPhase, VictimRow

EPOCH = Epoch(1, 7)
ROW = PoolRow("p", AgentPool("p", least=1, most=4), "local", drain_limit=10_000)
SURGE = SurgeRow(8, 4, 0, "fire", "local", 60_000, 60_000)
STALE_MS = 2_000
SEEN = Inputs()


class Commit(NamedTuple):
    wall: int
    event: Any


def decided(wall: int, agents: int, **fields: Any) -> Commit:
    return Commit(wall, PoolAdvanced(StateRow("p", agents, **fields)))


def chosen(wall: int, agent_id: str, *, at: int) -> Commit:
    return decided(wall, 1, victims=(VictimRow(agent_id, VictimPhase.CHOSEN, at, at),))


def scaled(wall: int, *, inputs: Inputs | None = SEEN) -> Commit:
    row = EventRow("p", 1, EventKind.SCALED_DOWN, wall, wall, 4, 1, 1, "utilisation", "", EPOCH, inputs=inputs)
    return Commit(wall, EventsNoted((row,)))


def driven(wall: int, agents: int, epoch: Epoch = EPOCH) -> Observation:
    return Observation(DRIVEN, "p", "", agents, wall, 0, epoch.generation, epoch.revision)


def told(agent_id: str, *, at: int) -> Observation:
    return Observation(TOLD_TO_END, agent_id, asked_ms=at)


def worked(agent_id: str, begin: int, end: int) -> Observation:
    return Observation(WORKED, agent_id, "t", asked_ms=begin, answered_ms=end)


def away(what: str, begin: int, end: int) -> list[Observation]:
    return [Observation(CUT_OFF, what, asked_ms=begin), Observation(RECONNECTED, what, asked_ms=end)]


def broken(*commits: Commit, observations: Iterable[Observation] = ()) -> list[str]:
    """Return the names of the checks that found something."""
    checks, found = scaling_checks(decode_event, stale_ms=STALE_MS), []
    for seq, commit in enumerate((Commit(0, PoolApplied(ROW)), *commits), 1):
        record = record_pb2.Record(seq=seq, wall_ms=commit.wall, events=[encode_event(commit.event)])
        for check in checks:
            found += [type(check).__name__ for _ in check.see(Entry(seq, EPOCH, record, ()))]
    for check in checks:
        found += [type(check).__name__ for _ in check.end(list(observations))]
    return found


@pytest.mark.parametrize(
    ("commits", "found"),
    [
        pytest.param([decided(1, 4), decided(2, 1)], [], id="from bound to bound"),
        pytest.param([decided(1, 5)], ["WithinBounds"], id="above"),
        pytest.param([decided(1, 4), decided(2, 0)], ["WithinBounds"], id="below"),
        pytest.param([decided(1, 4, surge=SURGE), decided(2, 8, surge=SURGE)], [], id="a surge raises them"),
        pytest.param([decided(1, 8, surge=SURGE), decided(2, 8)], [], id="it ends: nobody has gone yet"),
        pytest.param([decided(1, 8, surge=SURGE), decided(2, 8), decided(3, 9)], ["WithinBounds"], id="and none more"),
        pytest.param(
            [decided(1, 4), Commit(2, PoolApplied(ROW._replace(deleting=True))), decided(2, 0)], [], id="it is deleted"
        ),
        pytest.param([decided(1, 4), Commit(2, PoolForgotten("p"))], [], id="it is forgotten"),
    ],
)
def test_decisions_are_held_against_the_bounds_in_force(commits: list[Commit], found: list[str]) -> None:
    assert broken(*commits) == found


def test_what_a_driver_is_asked_for_is_held_against_the_bounds_too() -> None:
    assert broken(decided(1, 4), observations=[driven(2, 1), driven(3, 4), driven(4, 1)]) == []
    assert broken(decided(1, 4), observations=[driven(2, 1), driven(3, 5)]) == ["WithinBounds"]
    assert broken(decided(1, 4), observations=[driven(2, 1), driven(3, 0)]) == ["WithinBounds"]


def test_lower_bounds_take_their_time_and_then_hold() -> None:
    fewer = [decided(1, 4), Commit(1_000, PoolApplied(ROW._replace(pool=ROW.pool._replace(most=2)))), decided(1_000, 2)]
    draining = [driven(2, 4), driven(1_500, 4), driven(30_000, 3), driven(40_000, 2)]
    assert broken(*fewer, observations=draining) == []
    assert broken(*fewer, observations=[*draining, driven(50_000, 3)]) == ["WithinBounds"]


@pytest.mark.parametrize(
    ("at", "work", "found"),
    [
        pytest.param(5_000, worked("a", 1_000, 4_000), [], id="finished before"),
        pytest.param(5_000, worked("a", 1_000, 9_000), ["BusyStay"], id="under way"),
        pytest.param(11_800, worked("a", 1_000, 20_000), [], id="it had the drain limit"),
        pytest.param(5_000, worked("a", 4_900, 9_000), [], id="it had just begun"),
        pytest.param(5_000, worked("b", 1_000, 9_000), [], id="somebody else's"),
    ],
)
def test_nobody_is_told_to_end_with_work_under_way(at: int, work: Observation, found: list[str]) -> None:
    assert broken(chosen(1_800, "a", at=1_800), observations=[work, told("a", at=at)]) == found


def test_who_was_not_even_chosen_is_not_told_to_end_with_work_under_way() -> None:
    assert broken(observations=[worked("a", 1_000, 9_000), told("a", at=5_000)]) == ["BusyStay"]


@pytest.mark.parametrize("what", ["scheduler", "registry", "driver"])
def test_nothing_is_decided_on_what_is_not_seen_any_more(what: str) -> None:
    outage = away(what, 1_000, 9_000)
    assert broken(scaled(2_900), scaled(9_500), observations=outage) == []
    assert broken(scaled(5_000), observations=outage) == ["OutagesChangeNothing"]
    assert broken(scaled(5_000, inputs=None), observations=outage) == []
    assert broken(scaled(5_000), observations=outage[:1]) == ["OutagesChangeNothing"]


def test_nobody_is_told_anything_while_the_store_is_away() -> None:
    outage = away(STORE, 1_000, 9_000)
    assert broken(decided(1, 2), observations=[*outage, driven(1_100, 2), told("a", at=9_500)]) == []
    assert broken(decided(1, 2), observations=[*outage, driven(5_000, 2)]) == ["OutagesChangeNothing"]
    assert broken(decided(1, 2), observations=[*outage, told("a", at=5_000)]) == ["OutagesChangeNothing"]


def test_a_leader_that_was_replaced_drives_nothing() -> None:
    later = Epoch(1, 9)
    assert broken(decided(1, 2), observations=[driven(2, 2), driven(3, 3, later), driven(4, 2, later)]) == []
    assert broken(decided(1, 2), observations=[driven(2, 2, later), driven(3, 3)]) == ["DrivenByOne"]

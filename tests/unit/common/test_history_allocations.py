"""The checks of allocations see what they are for, on histories made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tercio_common.epochs import Epoch
from tercio_common.records.v1 import record_pb2
from tercio_common.testing.history import HELD, RELEASED, Observation, allocation_checks
from tercio_common.testing.history.checks import Entry
from tercio_resources.codec import decode_event, encode_event
from tercio_resources.state.events import (
    AllocationsGranted,
    AllocationsReleased,
    AllocationsReshaped,
    AllocationsTransferred,
    PoolsSet,
)
from tercio_resources.state.rows import Cause, Lot, Part, PoolRow

POOL = PoolsSet((PoolRow("cpu", "cpu", "millicores", 100, 20),))
EPOCH = Epoch(1, 7)


class Commit(NamedTuple):
    seq: int
    event: Any
    epoch: Epoch = EPOCH


def lot(amount: int, *, emergency: bool = False) -> Lot:
    return Lot("", 0, 60_000, (Part("cpu", "cpu", amount),), emergency)


def granted(seq: int, *amounts: int, emergency: bool = False, epoch: Epoch = EPOCH) -> Commit:
    lots = tuple(lot(amount, emergency=emergency) for amount in amounts)
    event = AllocationsGranted(lots, tuple(f"o{index}" for index in range(len(lots))), tuple(range(len(lots))))
    return Commit(seq, event, epoch)


def released(seq: int, *numbers: int) -> Commit:
    return Commit(seq, AllocationsReleased(Cause.RELEASED, numbers))


def broken(*commits: Commit, observations: Iterable[Observation] = ()) -> list[str]:
    """Return the names of the checks that found something."""
    checks, found = allocation_checks(decode_event), []
    for commit in (Commit(1, POOL), *commits):
        record = record_pb2.Record(seq=commit.seq, events=[encode_event(commit.event)])
        for check in checks:
            found += [type(check).__name__ for _ in check.see(Entry(commit.seq, commit.epoch, record, ()))]
    for check in checks:
        found += [type(check).__name__ for _ in check.end(list(observations))]
    return found


def test_what_fits_is_no_violation() -> None:
    told = [Observation(HELD, "2048", "o0"), Observation(RELEASED, "2048")]
    assert broken(granted(2, 50, 30), released(3, 2048), granted(4, 50), observations=told) == []


def test_a_grant_over_the_capacity_is_seen_and_the_reserve_is_for_emergencies() -> None:
    assert broken(granted(2, 50, 31)) == ["NeverOverCapacity"]
    assert broken(granted(2, 50, 50, emergency=True)) == []
    assert broken(granted(2, 50, 51, emergency=True)) == ["NeverOverCapacity"]


def test_a_cut_is_no_violation_and_a_grant_after_it_is() -> None:
    cut = Commit(3, PoolsSet((POOL.rows[0]._replace(capacity=40, reserve=0),)))
    assert broken(granted(2, 80), cut) == []
    assert broken(granted(2, 80), cut, granted(4, 1)) == ["NeverOverCapacity"]


def test_what_was_shrunk_can_be_granted_again_and_what_moves_must_fit() -> None:
    shrunk = Commit(3, AllocationsReshaped((2048,), (lot(30),)))
    assert broken(granted(2, 80), shrunk, granted(4, 50), released(5, 2048), granted(6, 30)) == []
    assert broken(granted(2, 80), shrunk, granted(4, 51)) == ["NeverOverCapacity"]
    other = Commit(3, PoolsSet((POOL.rows[0]._replace(pool_id="cpu-2", capacity=40, reserve=0),)))
    moved = [
        Commit(4, AllocationsReshaped((2048,), (Lot("", 0, 60_000, (Part("cpu-2", "cpu", amount),)),)))
        for amount in (40, 41)
    ]
    assert broken(granted(2, 40), other, moved[0], granted(5, 80)) == []
    assert broken(granted(2, 41), other, moved[1]) == ["NeverOverCapacity"]


def test_a_grant_of_a_fenced_pool_is_seen() -> None:
    assert broken(Commit(2, PoolsSet((POOL.rows[0]._replace(fenced=True),))), granted(3, 1)) == ["NeverOverCapacity"]


def test_a_second_release_is_seen_and_one_of_nothing() -> None:
    assert broken(granted(2, 1), released(3, 2048), released(4, 2048)) == ["ReleasedOnce"]
    assert broken(released(2, 4711)) == ["ReleasedOnce"]


def test_a_token_that_does_not_rise_is_seen() -> None:
    assert broken(granted(3, 1), granted(2, 1)) == ["TokensRise"]
    assert broken(granted(3, 1), granted(4, 1, epoch=Epoch(1, 6))) == ["TokensRise"]


def test_what_a_holder_was_told_must_be_in_the_journal() -> None:
    assert broken(observations=[Observation(HELD, "2048", "o0")]) == ["GrantsAreDurable"]
    assert broken(granted(2, 1), observations=[Observation(HELD, "2048", "another")]) == ["GrantsAreDurable"]
    handed = Commit(3, AllocationsTransferred((2048,), "heir"))
    assert broken(granted(2, 1), handed, observations=[Observation(HELD, "2048", "heir")]) == []
    assert broken(granted(2, 1), observations=[Observation(RELEASED, "2048")]) == ["ReleasedOnce"]

"""The checks of claims see what they are for, on histories made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tercio_common.epochs import Epoch
from tercio_common.records.v1 import record_pb2
from tercio_common.testing.history import FENCED, HELD, RELEASED, Observation, claim_checks
from tercio_common.testing.history.checks import Entry
from tercio_conflicts.codec import decode_event, encode_event
from tercio_conflicts.state.events import ClaimsGranted, ClaimsReleased, ClaimsTransferred
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Cause, Terms
from tercio_conflicts.state.things import Kind, Thing

EPOCH = Epoch(1, 7)
A, FOLDER = Thing(Kind.FILE, "s", "d/a"), Thing(Kind.GLOB, "s", "d/**")


class Commit(NamedTuple):
    seq: int
    event: Any
    epoch: Epoch = EPOCH


def granted(seq: int, owner: str, *things: Thing, mode: Mode = Mode.EXCLUSIVE, epoch: Epoch = EPOCH) -> Commit:
    return Commit(seq, ClaimsGranted(Terms(), things, (mode,), (owner,)), epoch)


def released(seq: int, *numbers: int) -> Commit:
    return Commit(seq, ClaimsReleased(Cause.RELEASED, numbers))


def broken(*commits: Commit, observations: Iterable[Observation] = ()) -> list[str]:
    """Return the names of the checks that found something."""
    checks, found = claim_checks(decode_event), []
    for commit in commits:
        record = record_pb2.Record(seq=commit.seq, events=[encode_event(commit.event)])
        for check in checks:
            found += [type(check).__name__ for _ in check.see(Entry(commit.seq, commit.epoch, record, ()))]
    for check in checks:
        found += [type(check).__name__ for _ in check.end(list(observations))]
    return found


def test_who_follows_who_released_is_no_violation() -> None:
    told = [Observation(HELD, "1024", "a"), Observation(FENCED, "1024", "a", seq=1024), Observation(RELEASED, "1024")]
    assert broken(granted(1, "a", A), released(2, 1024), granted(3, "b", FOLDER), observations=told) == []


def test_readers_share_and_an_owner_does_not_collide_with_itself() -> None:
    assert broken(granted(1, "a", A, mode=Mode.SHARED), granted(2, "b", FOLDER, mode=Mode.INTENT)) == []
    assert broken(granted(1, "a", A), granted(2, "a", FOLDER)) == []


def test_incompatible_claims_are_seen_also_through_a_glob_and_a_hand_over() -> None:
    assert broken(granted(1, "a", A), granted(2, "b", A, mode=Mode.SHARED)) == ["NeverIncompatible"]
    assert broken(granted(1, "a", FOLDER), granted(2, "b", A)) == ["NeverIncompatible"]
    parted = Commit(2, ClaimsTransferred((1024,), "b"))
    assert broken(granted(1, "a", A, FOLDER), parted) == ["NeverIncompatible"]


def test_a_token_that_does_not_rise_or_is_another_one_is_seen() -> None:
    assert broken(granted(1, "a", A), granted(2, "a", A, epoch=Epoch(1, 6))) == ["TokensRise"]
    handed = Commit(2, ClaimsTransferred((1024,), "b"))
    assert broken(granted(1, "a", A), handed, observations=[Observation(FENCED, "1024", "b", seq=2048)]) == []
    repeated = [Observation(FENCED, "1024", "b", seq=1024)]
    assert broken(granted(1, "a", A), handed, observations=repeated) == ["TokensRise"]


def test_a_second_release_and_one_of_nothing_are_seen() -> None:
    assert broken(granted(1, "a", A), released(2, 1024), released(3, 1024)) == ["ReleasedOnce"]
    assert broken(released(1, 5)) == ["ReleasedOnce"]
    assert broken(granted(1, "a", A), observations=[Observation(RELEASED, "1024")]) == ["ReleasedOnce"]


def test_a_claim_that_the_journal_does_not_have_is_seen() -> None:
    assert broken(granted(1, "a", A), observations=[Observation(HELD, "1024", "b")]) == ["GrantsAreDurable"]

"""Records and rows come back as they were, and auditors are told what they name."""

from __future__ import annotations

import pytest

from tercio_common.epochs import Epoch
from tercio_common.leasing.tombstones import TombstoneRow
from tercio_conflicts.codec import ConflictsCodec, decode_event, encode_event
from tercio_conflicts.state import events
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Cause, ClaimRow, Terms, Yield
from tercio_conflicts.state.tables import CLAIMS, TOMBSTONES
from tercio_conflicts.state.things import Kind, Thing

CODEC = ConflictsCodec()
FILE, GLOB, TOPIC = Thing(Kind.FILE, "s", "a/b.py"), Thing(Kind.GLOB, "s", "a/**"), Thing(Kind.TOPIC, "t", "storage")
TERMS = Terms(3, 5_000, "why")
EVENTS = {
    "alike": events.ClaimsGranted(TERMS, (FILE, FILE), (Mode.SHARED,), ("o",)),
    "one": events.ClaimsGranted(Terms(), (FILE,), (Mode.INTENT,), ("o",)),
    "mixed": events.ClaimsGranted(TERMS, (FILE, GLOB, TOPIC), tuple(Mode), ("a", "b", "c")),
    "released": events.ClaimsReleased(Cause.YIELDED, (1, 2), ("o",)),
    "transferred": events.ClaimsTransferred((1, 2), "p"),
    "requested": events.ReleasesRequested((1, 2), (10, 20), "z", "please"),
    "pruned": events.ClaimTombstonesPruned(("a", "b")),
}
ROWS = {
    "held": (CLAIMS, ClaimRow(1, "o", FILE, Mode.SHARED, TERMS, 2, Epoch(1, 2), 3, 4)),
    "yielding": (CLAIMS, ClaimRow(1, "o", TOPIC, Mode.EXCLUSIVE, TERMS, 2, Epoch(1, 2), 3, 4, Yield(9, "z", "now"))),
    "tombstone": (TOMBSTONES, TombstoneRow("a", 5)),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_comes_back_as_it_was(event: events.Event) -> None:
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(("table", "row"), ROWS.values(), ids=ROWS)
def test_a_row_comes_back_as_it_was(table: str, row: object) -> None:
    assert CODEC.decode_row(table, CODEC.encode_row(table, row)) == row


def test_an_auditor_is_told_what_an_event_names() -> None:
    described = CODEC.describe_event(encode_event(EVENTS["mixed"]))
    assert (described.kind, list(described.resources)) == (
        "ClaimsGranted",
        ["things/a/b.py", "things/a/**", "things/storage"],
    )
    described = CODEC.describe_event(encode_event(EVENTS["released"]))
    assert list(described.resources) == ["claims/1", "claims/2"]


def test_bytes_that_no_version_wrote_are_refused() -> None:
    with pytest.raises(ValueError, match="newer version"):
        decode_event(b"")
    with pytest.raises(ValueError, match="no table"):
        CODEC.decode_row("other", b"")

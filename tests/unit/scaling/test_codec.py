"""What records of the scaling service tell, and what is refused."""

from __future__ import annotations

import pytest

from tercio_scaling.codec import ScalingCodec, decode_event, encode_event
from tercio_scaling.records.v1 import rows_pb2
from tercio_scaling.shapes import Shape
from tercio_scaling.state import events, rows


def test_what_no_version_wrote_is_refused() -> None:
    with pytest.raises(ValueError, match="a newer version"):
        decode_event(b"")
    with pytest.raises(ValueError, match="no table"):
        ScalingCodec().decode_row("else", b"")


def test_a_row_and_its_message_have_the_same_fields() -> None:
    shape = Shape(rows.BudgetRow, rows_pb2.BudgetRow)
    with pytest.raises(ValueError, match="zip"):
        shape.record(rows.AgentRow("p", "a", 1)[:2])


def test_a_field_that_an_old_record_lacks_reads_as_nothing() -> None:
    shape = Shape(rows.SurgeRow, rows_pb2.SurgeRow)
    assert shape.row(rows_pb2.SurgeRow(most=3)) == rows.SurgeRow(3, 0, 0, "", "", 0, 0)


@pytest.mark.parametrize(
    ("event", "kind", "named"),
    [
        (events.PoolForgotten("p"), "PoolForgotten", ["pools/p"]),
        (events.BudgetSet(rows.BudgetRow("b")), "BudgetSet", ["budgets/b"]),
        (events.AgentsJoined((rows.AgentRow("p", "a", 1),)), "AgentsJoined", ["agents/a"]),
        (events.AgentsLeft("p", ("a", "b")), "AgentsLeft", ["agents/a", "agents/b"]),
        (events.EventsForgotten(("q", "p", "q"), (1, 1, 2)), "EventsForgotten", ["pools/p", "pools/q"]),
        (events.PoolAdvanced(rows.StateRow("p")), "PoolAdvanced", ["pools/p"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_auditor_is_told_what_an_event_names(event: events.Event, kind: str, named: list[str]) -> None:
    described = ScalingCodec().describe_event(encode_event(event))
    assert (described.kind, list(described.resources)) == (kind, named)


def test_an_auditor_is_told_that_an_event_is_unknown() -> None:
    described = ScalingCodec().describe_event(b"")
    assert (described.kind, list(described.resources)) == ("Unknown", [])

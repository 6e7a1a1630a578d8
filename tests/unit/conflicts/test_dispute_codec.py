"""Records and rows of decisions and conflicts come back as they were, and auditors are told what they name."""

from __future__ import annotations

from typing import Any

import pytest

from tercio_common.machine.outbox import OUTBOX, OutboxAcknowledged, OutboxRow
from tercio_common.machine.system_tasks import (
    SYSTEM_TASKS,
    Result,
    SystemTaskOutcome,
    SystemTaskRow,
    SystemTasksClosed,
    SystemTasksOpened,
)
from tercio_conflicts.codec import ConflictsCodec, decode_event, encode_event
from tercio_conflicts.state import dispute_events as events
from tercio_conflicts.state import dispute_tables as names
from tercio_conflicts.state.dispute_rows import (
    ActionKind,
    ActionRow,
    AttemptRow,
    ConflictRow,
    ConflictState,
    ConsultationRow,
    DecisionRow,
    Escalation,
    FamilyRow,
    Impact,
    Outcome,
    PatternRow,
    PrecedentRow,
    Standing,
)
from tercio_conflicts.state.severity import Severity

CODEC = ConflictsCodec()
DECISION = DecisionRow(1, "a", "r", "t", "s", "c", "x/**", "why", 900, 2, 3, 4, Standing.OVERRULED, "k")
FAMILY = FamilyRow("f", ("s",), Severity.HIGH, (("o", ("p",), ()), ("k", (), ("o",))), ("g",), ("w",))
PRECEDENT = PrecedentRow("p", "s", "c", "x", 500, "k", 9)
ATTEMPT = AttemptRow("queue_access", Outcome.FAILED, "m", 1, 2, 3, ("a", "b"), 4, 5, "p")
CONFLICT = ConflictRow(
    conflict_id="k",
    occurrence=2,
    type="agent_conflict",
    state=ConflictState.ESCALATED,
    severity=Severity.CRITICAL,
    confidence=950,
    agents=("a", "b"),
    tasks=("t",),
    context=(("resource", "x"), ("type", "y")),
    claims=(1, 2),
    decisions=(3, 4),
    raised_now=5,
    raised_wall=6,
    impact=Impact(1, 2, 3, 4),
    reported_by="me",
    attempts=(ATTEMPT,),
    escalation=Escalation("why", 1, 2, 3, 4, True),
    resolution="r",
    resolved_by="by me",
    prevention="p",
    resolved_now=7,
    resolved_wall=8,
)
PATTERN = PatternRow("agent_conflict", "handover", ("a", "b"), 3, 2, 100, 50, ("x",), 9)
ACTION = ActionRow("1-1", "k", ActionKind.HOLD, "t", "a", "u", 7, 8, 9)
CONSULTATION = ConsultationRow("s", "k", "a", True, 3, "m")
TASK = SystemTaskRow("s", "tercio.decide", "a", 0, b"{}", 5, 6, 7)
ROWS: dict[str, Any] = {
    names.DECISIONS: DECISION,
    names.FAMILIES: FAMILY,
    names.PRECEDENTS: PRECEDENT,
    names.CONFLICTS: CONFLICT,
    names.PATTERNS: PATTERN,
    names.ACTIONS: ACTION,
    names.CONSULTATIONS: CONSULTATION,
    SYSTEM_TASKS: TASK,
    OUTBOX: OutboxRow("e", "webhook", b"{}", 1, 2),
}
EVENTS: dict[str, Any] = {
    "decisions set": events.DecisionsSet((DECISION,)),
    "decisions forgotten": events.DecisionsForgotten((1, 2)),
    "family set": events.FamilySet(FAMILY),
    "family deleted": events.FamilyDeleted("f"),
    "precedent set": events.PrecedentSet(PRECEDENT),
    "precedent deleted": events.PrecedentDeleted("p"),
    "conflict changed": events.ConflictChanged(events.Step.REMINDED, CONFLICT, notify=True),
    "conflict without people": events.ConflictChanged(events.Step.RAISED, CONFLICT._replace(escalation=None)),
    "conflicts forgotten": events.ConflictsForgotten(("k",)),
    "pattern learned": events.PatternLearned(PATTERN),
    "pattern forgotten": events.PatternLearned(PATTERN, ("agent_conflict", "single_owner", ("c",))),
    "actions opened": events.ActionsOpened((ACTION,)),
    "actions closed": events.ActionsClosed(("1-1",)),
    "consultations set": events.ConsultationsSet((CONSULTATION,)),
    "consultations ended": events.ConsultationsEnded(("s",)),
    "system tasks opened": SystemTasksOpened((TASK,)),
    "system tasks closed": SystemTasksClosed((SystemTaskOutcome("s", Result.SUCCEEDED, b"{}"),)),
    "outbox acknowledged": OutboxAcknowledged(("e",)),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_comes_back_as_it_was(event: Any) -> None:
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(("table", "row"), ROWS.items(), ids=ROWS)
def test_a_row_comes_back_as_it_was(table: str, row: Any) -> None:
    assert CODEC.decode_row(table, CODEC.encode_row(table, row)) == row


def test_every_step_and_state_is_recorded() -> None:
    for step in events.Step:
        for state in ConflictState:
            event = events.ConflictChanged(step, CONFLICT._replace(state=state))
            assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(
    ("event", "resource"),
    [
        ("decisions set", "decisions/1"),
        ("family deleted", "families/f"),
        ("precedent set", "precedents/p"),
        ("conflict changed", "conflicts/k"),
        ("actions opened", "conflicts/k"),
    ],
)
def test_an_auditor_is_told_what_an_event_names(event: str, resource: str) -> None:
    assert resource in CODEC.describe_event(encode_event(EVENTS[event])).resources

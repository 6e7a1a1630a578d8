"""Events and rows of decisions and conflicts as protobuf."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from google.protobuf.message import Message

from tercio_common.machine import outbox_codec, system_tasks_codec
from tercio_common.machine.outbox import OUTBOX, OutboxAcknowledged
from tercio_common.machine.system_tasks import SYSTEM_TASKS, SystemTasksClosed, SystemTasksOpened
from tercio_common.records.v1 import outbox_pb2, system_task_pb2
from tercio_conflicts.conflict_codec import conflict, conflict_record
from tercio_conflicts.records.v1 import conflicts_pb2 as pb
from tercio_conflicts.records.v1 import events_pb2 as records
from tercio_conflicts.state import dispute_events as events
from tercio_conflicts.state.dispute_rows import (
    ActionKind,
    ActionRow,
    ConsultationRow,
    DecisionRow,
    FamilyRow,
    PatternRow,
    PrecedentRow,
    Standing,
)
from tercio_conflicts.state.dispute_tables import (
    ACTIONS,
    CONFLICTS,
    CONSULTATIONS,
    DECISIONS,
    FAMILIES,
    PATTERNS,
    PRECEDENTS,
)
from tercio_conflicts.state.severity import Severity


def _decision_record(row: DecisionRow) -> pb.DecisionRow:
    return pb.DecisionRow(
        number=row.number,
        agent_id=row.agent_id,
        role=row.role,
        task_id=row.task_id,
        subject=row.subject,
        choice=row.choice,
        scope=row.scope,
        rationale=row.rationale,
        confidence_per_mille=row.confidence,
        decided_now_ms=row.decided_now,
        decided_wall_ms=row.decided_wall,
        supersedes=row.supersedes,
        standing=row.standing,
        overruled_by=row.overruled_by,
    )


def _decision(record: pb.DecisionRow) -> DecisionRow:
    return DecisionRow(
        number=record.number,
        agent_id=record.agent_id,
        role=record.role,
        task_id=record.task_id,
        subject=record.subject,
        choice=record.choice,
        scope=record.scope,
        rationale=record.rationale,
        confidence=record.confidence_per_mille,
        decided_now=record.decided_now_ms,
        decided_wall=record.decided_wall_ms,
        supersedes=record.supersedes,
        standing=Standing(record.standing),
        overruled_by=record.overruled_by,
    )


def _family_record(row: FamilyRow) -> pb.FamilyRow:
    return pb.FamilyRow(
        name=row.name,
        subjects=row.subjects,
        severity=row.severity,
        options=[pb.FamilyRow.Option(name=each, names=names, members=of) for each, names, of in row.options],
        general=row.general,
        common_words=row.common_words,
    )


def _family(record: pb.FamilyRow) -> FamilyRow:
    return FamilyRow(
        name=record.name,
        subjects=tuple(record.subjects),
        severity=Severity(record.severity),
        options=tuple((each.name, tuple(each.names), tuple(each.members)) for each in record.options),
        general=tuple(record.general),
        common_words=tuple(record.common_words),
    )


def _precedent_record(row: PrecedentRow) -> pb.PrecedentRow:
    return pb.PrecedentRow(
        precedent_id=row.precedent_id,
        subject=row.subject,
        choice=row.choice,
        scope=row.scope,
        confidence_per_mille=row.confidence,
        conflict_id=row.conflict_id,
        set_wall_ms=row.set_wall,
    )


def _precedent(record: pb.PrecedentRow) -> PrecedentRow:
    return PrecedentRow(
        record.precedent_id,
        record.subject,
        record.choice,
        record.scope,
        record.confidence_per_mille,
        record.conflict_id,
        record.set_wall_ms,
    )


def _pattern_record(row: PatternRow) -> pb.PatternRow:
    return pb.PatternRow(
        type=row.type,
        strategy=row.strategy,
        features=row.features,
        tries=row.tries,
        successes=row.successes,
        duration_ms=row.duration,
        spent_ms=row.spent,
        agents=row.agents,
        used_now_ms=row.used_now,
    )


def _pattern(record: pb.PatternRow) -> PatternRow:
    return PatternRow(
        type=record.type,
        strategy=record.strategy,
        features=tuple(record.features),
        tries=record.tries,
        successes=record.successes,
        duration=record.duration_ms,
        spent=record.spent_ms,
        agents=tuple(record.agents),
        used_now=record.used_now_ms,
    )


def _learned_record(event: events.PatternLearned) -> pb.PatternLearned:
    forgotten = None
    if event.forgotten is not None:
        of, strategy, features = event.forgotten
        forgotten = pb.PatternRow(type=of, strategy=strategy, features=features)
    return pb.PatternLearned(pattern=_pattern_record(event.row), forgotten=forgotten)


def _learned(record: pb.PatternLearned) -> events.PatternLearned:
    gone = _pattern(record.forgotten).key if record.HasField("forgotten") else None
    return events.PatternLearned(_pattern(record.pattern), gone)


def _action_record(row: ActionRow) -> pb.ActionRow:
    return pb.ActionRow(
        action_id=row.action_id,
        conflict_id=row.conflict_id,
        kind=row.kind,
        task_id=row.task_id,
        agent_id=row.agent_id,
        after_task_id=row.after_task_id,
        priority=row.priority,
        created_wall_ms=row.created_wall,
        due_ms=row.due,
    )


def _action(record: pb.ActionRow) -> ActionRow:
    return ActionRow(
        action_id=record.action_id,
        conflict_id=record.conflict_id,
        kind=ActionKind(record.kind),
        task_id=record.task_id,
        agent_id=record.agent_id,
        after_task_id=record.after_task_id,
        priority=record.priority,
        created_wall=record.created_wall_ms,
        due=record.due_ms,
    )


def _consultation_record(row: ConsultationRow) -> pb.ConsultationRow:
    return pb.ConsultationRow(
        system_task_id=row.system_task_id,
        conflict_id=row.conflict_id,
        agent_id=row.agent_id,
        answered=row.answered,
        choice=row.choice,
        message=row.message,
    )


def _consultation(record: pb.ConsultationRow) -> ConsultationRow:
    return ConsultationRow(
        record.system_task_id, record.conflict_id, record.agent_id, record.answered, record.choice, record.message
    )


def _changed_record(event: events.ConflictChanged) -> pb.ConflictChanged:
    step = cast("pb.ConflictChanged.Step.ValueType", int(event.step))
    return pb.ConflictChanged(step=step, conflict=conflict_record(event.row), notify=event.notify)


def _all(decode: Callable[[Any], Any], rows: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(map(decode, rows))


ENCODERS: Final[dict[type[Any], Callable[[Any], records.Event]]] = {
    events.DecisionsSet: lambda e: records.Event(
        decisions_set=pb.DecisionsSet(decisions=map(_decision_record, e.rows))
    ),
    events.DecisionsForgotten: lambda e: records.Event(decisions_forgotten=pb.DecisionsForgotten(numbers=e.numbers)),
    events.FamilySet: lambda e: records.Event(family_set=_family_record(e.row)),
    events.FamilyDeleted: lambda e: records.Event(family_deleted=pb.FamilyDeleted(name=e.name)),
    events.PrecedentSet: lambda e: records.Event(precedent_set=_precedent_record(e.row)),
    events.PrecedentDeleted: lambda e: records.Event(
        precedent_deleted=pb.PrecedentDeleted(precedent_id=e.precedent_id)
    ),
    events.ConflictChanged: lambda e: records.Event(conflict_changed=_changed_record(e)),
    events.ConflictsForgotten: lambda e: records.Event(
        conflicts_forgotten=pb.ConflictsForgotten(conflict_ids=e.conflict_ids)
    ),
    events.PatternLearned: lambda e: records.Event(pattern_learned=_learned_record(e)),
    events.ActionsOpened: lambda e: records.Event(actions_opened=pb.ActionsOpened(actions=map(_action_record, e.rows))),
    events.ActionsClosed: lambda e: records.Event(actions_closed=pb.ActionsClosed(action_ids=e.action_ids)),
    events.ConsultationsSet: lambda e: records.Event(
        consultations_set=pb.ConsultationsSet(consultations=map(_consultation_record, e.rows))
    ),
    events.ConsultationsEnded: lambda e: records.Event(
        consultations_ended=pb.ConsultationsEnded(system_task_ids=e.system_task_ids)
    ),
    SystemTasksOpened: lambda e: records.Event(system_tasks_opened=system_tasks_codec.opened_record(e)),
    SystemTasksClosed: lambda e: records.Event(system_tasks_closed=system_tasks_codec.closed_record(e)),
    OutboxAcknowledged: lambda e: records.Event(outbox_acknowledged=outbox_codec.acknowledged_record(e)),
}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "decisions_set": lambda r: events.DecisionsSet(_all(_decision, r.decisions)),
    "decisions_forgotten": lambda r: events.DecisionsForgotten(tuple(r.numbers)),
    "family_set": lambda r: events.FamilySet(_family(r)),
    "family_deleted": lambda r: events.FamilyDeleted(r.name),
    "precedent_set": lambda r: events.PrecedentSet(_precedent(r)),
    "precedent_deleted": lambda r: events.PrecedentDeleted(r.precedent_id),
    "conflict_changed": lambda r: events.ConflictChanged(events.Step(r.step), conflict(r.conflict), r.notify),
    "conflicts_forgotten": lambda r: events.ConflictsForgotten(tuple(r.conflict_ids)),
    "pattern_learned": _learned,
    "actions_opened": lambda r: events.ActionsOpened(_all(_action, r.actions)),
    "actions_closed": lambda r: events.ActionsClosed(tuple(r.action_ids)),
    "consultations_set": lambda r: events.ConsultationsSet(_all(_consultation, r.consultations)),
    "consultations_ended": lambda r: events.ConsultationsEnded(tuple(r.system_task_ids)),
    "system_tasks_opened": system_tasks_codec.opened_of,
    "system_tasks_closed": system_tasks_codec.closed_of,
    "outbox_acknowledged": outbox_codec.acknowledged_of,
}

NAMES: Final[dict[str, Callable[[Any], Iterable[str]]]] = {
    "decisions_set": lambda r: (f"decisions/{each.number}" for each in r.decisions),
    "decisions_forgotten": lambda r: (f"decisions/{each}" for each in r.numbers),
    "family_set": lambda r: (f"families/{r.name}",),
    "family_deleted": lambda r: (f"families/{r.name}",),
    "precedent_set": lambda r: (f"precedents/{r.precedent_id}",),
    "precedent_deleted": lambda r: (f"precedents/{r.precedent_id}",),
    "conflict_changed": lambda r: (f"conflicts/{r.conflict.conflict_id}",),
    "conflicts_forgotten": lambda r: (f"conflicts/{each}" for each in r.conflict_ids),
    "actions_opened": lambda r: (f"conflicts/{each.conflict_id}" for each in r.actions),
    "consultations_set": lambda r: (f"conflicts/{each.conflict_id}" for each in r.consultations),
}
"""What each event names, for auditors."""

ROW_ENCODERS: Final[dict[str, Callable[[Any], Message]]] = {
    DECISIONS: _decision_record,
    FAMILIES: _family_record,
    PRECEDENTS: _precedent_record,
    CONFLICTS: conflict_record,
    PATTERNS: _pattern_record,
    ACTIONS: _action_record,
    CONSULTATIONS: _consultation_record,
    SYSTEM_TASKS: system_tasks_codec.row_record,
    OUTBOX: outbox_codec.row_record,
}

ROW_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    DECISIONS: lambda data: _decision(pb.DecisionRow.FromString(data)),
    FAMILIES: lambda data: _family(pb.FamilyRow.FromString(data)),
    PRECEDENTS: lambda data: _precedent(pb.PrecedentRow.FromString(data)),
    CONFLICTS: lambda data: conflict(pb.ConflictRow.FromString(data)),
    PATTERNS: lambda data: _pattern(pb.PatternRow.FromString(data)),
    ACTIONS: lambda data: _action(pb.ActionRow.FromString(data)),
    CONSULTATIONS: lambda data: _consultation(pb.ConsultationRow.FromString(data)),
    SYSTEM_TASKS: lambda data: system_tasks_codec.row_of(system_task_pb2.SystemTaskRow.FromString(data)),
    OUTBOX: lambda data: outbox_codec.row_of(outbox_pb2.OutboxRow.FromString(data)),
}

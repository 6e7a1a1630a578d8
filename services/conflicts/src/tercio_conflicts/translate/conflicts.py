"""Conflicts and what is asked about them: contract to domain and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple, cast

from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio_common.filtering.predicates import Filter
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.fields import duration, filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_conflicts.state.dispute_commands import (
    ActionOutcome,
    EscalateConflict,
    ReportActions,
    ReportConflict,
    ResolveConflict,
)
from tercio_conflicts.state.dispute_filters import CONFLICT_FIELDS
from tercio_conflicts.state.dispute_rows import (
    ActionRow,
    AttemptRow,
    ConflictRow,
    ConflictState,
    DecisionRow,
    Outcome,
    PatternRow,
)
from tercio_conflicts.state.patterns import similarity
from tercio_conflicts.translate.decisions import decision_message, severity_of, severity_value

_MOST: Final = 100
_MOST_MESSAGE: Final = 1_024
_MOST_WAIT_MS: Final = 3_600_000


class Reported(NamedTuple):
    """A report, and how long to wait for the end of the conflict, in ms."""

    command: ReportConflict
    wait: int


def reported_of(request: pb.ReportConflictRequest) -> Reported:
    """Translate a report. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    found.check_id("type", request.type)
    _check_texts("agent_ids", request.agent_ids, found, least=1)
    _check_texts("task_ids", request.task_ids, found)
    found.check_length("claim_ids", request.claim_ids, most=_MOST, unit="claims")
    found.check_length("decision_ids", request.decision_ids, most=_MOST, unit="decisions")
    found.check_labels("context", request.context)
    severity = severity_of("severity", request.severity, found)
    wait = found.check_duration("wait_timeout", request.wait_timeout, least_ms=0, most_ms=_MOST_WAIT_MS)
    found.raise_if_any()
    command = ReportConflict(
        type=request.type,
        agents=tuple(sorted(set(request.agent_ids))),
        severity=severity,
        context=tuple(sorted(request.context.items())),
        tasks=tuple(sorted(set(request.task_ids))),
        claims=tuple(sorted(set(request.claim_ids))),
        decisions=tuple(sorted(set(request.decision_ids))),
    )
    return Reported(command, wait)


def resolve_command(request: pb.ResolveConflictRequest) -> ResolveConflict:
    """Translate an end."""
    found = Violations()
    found.check_length("resolution", request.resolution, least=1, most=_MOST_MESSAGE)
    found.raise_if_any()
    return ResolveConflict(
        conflict_id=request.conflict_id, resolution=request.resolution, prevails=request.prevailing_decision_id
    )


def escalate_command(request: pb.EscalateConflictRequest) -> EscalateConflict:
    """Translate an escalation."""
    found = Violations()
    found.check_length("reason", request.reason, least=1, most=_MOST_MESSAGE)
    found.raise_if_any()
    return EscalateConflict(request.conflict_id, request.reason)


def report_actions_command(request: pb.ReportActionsRequest) -> ReportActions:
    """Translate what became of actions."""
    found, seen = Violations(), set[str]()
    found.check_length("outcomes", request.outcomes, least=1, most=_MOST, unit="outcomes")
    for index, each in enumerate(request.outcomes):
        path = f"outcomes[{index}]"
        found.check_id(f"{path}.action_id", each.action_id)
        found.check(f"{path}.action_id", each.action_id not in seen, "is in the same report twice")
        found.check_length(f"{path}.message", each.message, most=_MOST_MESSAGE)
        seen.add(each.action_id)
    found.raise_if_any()
    return ReportActions(tuple(ActionOutcome(each.action_id, each.done, each.message) for each in request.outcomes))


def listing_of(request: pb.ListConflictsRequest) -> tuple[int, Filter[ConflictRow]]:
    """Return the size of a page, and what is selected."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, CONFLICT_FIELDS, found)
    found.raise_if_any()
    return size, selected


def watch_filter(request: pb.WatchConflictsRequest) -> Filter[ConflictRow]:
    """Return the filter of a watch."""
    found = Violations()
    selected = filter_of(request.expression, CONFLICT_FIELDS, found)
    found.raise_if_any()
    return selected


def patterns_size(request: pb.ListPatternsRequest) -> int:
    """Return the size of a page."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return size


def conflict_message(
    row: ConflictRow, at: Moment, decision: Callable[[int], DecisionRow | None]
) -> conflict_pb2.Conflict:
    """Return a conflict as the contract has it; `decision` looks one up."""
    ended = row.state is ConflictState.RESOLVED
    last = row.attempts[-1] if row.attempts else None
    lasted = (row.resolved_now if ended else at.now) - row.raised_now
    return conflict_pb2.Conflict(
        conflict_id=row.conflict_id,
        occurrence=row.occurrence,
        state=cast("conflict_pb2.Conflict.State.ValueType", int(row.state)),
        conflict_analysis=_analysis(row, [each for each in map(decision, row.decisions) if each is not None]),
        impact_assessment=conflict_pb2.Conflict.Impact(
            task_count=row.impact.tasks,
            agent_count=row.impact.agents,
            deadlines_at_risk_count=row.impact.deadlines_at_risk,
            blocked_task_count=row.impact.blocked_tasks,
        ),
        resolution_strategy=row.resolved_by or (last.strategy if last else ""),
        resolution_execution=[_attempt(each, at) for each in row.attempts],
        resolution_validation=_validation(row),
        prevention_measures=row.prevention,
        resolution_duration=duration(max(0, lasted)),
        escalation=_escalation(row, at),
        raise_time=timestamp(row.raised_wall),
        resolve_time=timestamp(row.resolved_wall) if ended else None,
        resolution=row.resolution,
    )


def action_message(row: ActionRow) -> conflict_pb2.Action:
    """Return an action as the contract has it."""
    return conflict_pb2.Action(
        action_id=row.action_id,
        conflict_id=row.conflict_id,
        kind=cast("conflict_pb2.Action.Kind.ValueType", int(row.kind)),
        task_id=row.task_id,
        agent_id=row.agent_id,
        after_task_id=row.after_task_id,
        priority=row.priority,
        create_time=timestamp(row.created_wall),
    )


def pattern_message(row: PatternRow, features: Iterable[str] | None) -> conflict_pb2.Pattern:
    """Return a pattern as the contract has it, compared with these features."""
    return conflict_pb2.Pattern(
        conflict_type=row.type,
        resolution_strategy=row.strategy,
        features=row.features,
        try_count=row.tries,
        success_rate=row.successes / row.tries,
        average_duration=duration(row.duration // row.successes) if row.successes else None,
        involved_agents=row.agents,
        context_similarity=similarity(row.features, tuple(features)) if features is not None else 0,
    )


def _analysis(row: ConflictRow, decisions: Iterable[DecisionRow]) -> conflict_pb2.Conflict.Analysis:
    return conflict_pb2.Conflict.Analysis(
        type=row.type,
        severity=severity_value(row.severity),
        confidence=row.confidence / 1_000,
        context=_plain(row.context),
        agent_ids=row.agents,
        task_ids=row.tasks,
        claim_ids=row.claims,
        decisions=map(decision_message, decisions),
        reported_by=row.reported_by,
    )


def _plain(context: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    return dict(context)


def _attempt(row: AttemptRow, at: Moment) -> conflict_pb2.Conflict.Attempt:
    ended = row.ended_now if row.outcome is not Outcome.RUNNING else at.now
    return conflict_pb2.Conflict.Attempt(
        strategy=row.strategy,
        outcome=cast("conflict_pb2.Conflict.Attempt.Outcome.ValueType", int(row.outcome)),
        message=row.message,
        duration=duration(max(0, ended - row.began_now)),
        access_order=row.access_order,
        estimated_delay=duration(row.delay) if row.access_order else None,
    )


def _escalation(row: ConflictRow, at: Moment) -> conflict_pb2.Conflict.Escalation | None:
    asked = row.escalation
    if asked is None:
        return None
    return conflict_pb2.Conflict.Escalation(
        reason=asked.reason,
        escalate_time=timestamp(asked.escalated_wall),
        deadline=timestamp(asked.deadline - at.now + at.wall),
        reminder_count=asked.reminders,
        overdue=asked.overdue,
    )


def _validation(row: ConflictRow) -> str:
    if row.state is not ConflictState.RESOLVED:
        return ""
    if row.resolved_by.startswith("by "):
        return f"{row.resolved_by[3:]} said so" if row.resolved_by != "by itself" else "it is not seen any more"
    return "it is not seen any more" if not row.reported_by else "nothing of what was reported is left"


def _check_texts(field: str, given: Collection[str], found: Violations, *, least: int = 0) -> None:
    found.check_length(field, given, least=least, most=_MOST, unit="entries")
    for index, each in enumerate(given):
        found.check_length(f"{field}[{index}]", each, least=1, most=MAX_TEXT)

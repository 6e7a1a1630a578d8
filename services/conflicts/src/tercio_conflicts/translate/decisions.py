"""Decisions, families and precedents: contract to domain and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, cast

from tercio.api.conflicts.v1 import decision_pb2, severity_pb2
from tercio.api.conflicts.v1 import decision_service_pb2 as pb
from tercio_common.filtering.predicates import Filter
from tercio_common.rpc.fields import filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_conflicts.state.dispute_commands import (
    DecisionSpec,
    DeleteFamily,
    DeletePrecedent,
    PostDecisions,
    SetFamily,
    SetPrecedent,
    WithdrawDecision,
)
from tercio_conflicts.state.dispute_filters import DECISION_FIELDS
from tercio_conflicts.state.dispute_rows import MOST_DECISIONS, DecisionRow, FamilyRow, PrecedentRow
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Disagreement

MOST_SUBJECT: Final = 256
MOST_CHOICE: Final = 2_000
MOST_SCOPE: Final = 512
_MOST_RATIONALE: Final = 4_000
_MOST_NAMES: Final = 64
_MOST_OPTIONS: Final = 256


def post_command(request: pb.PostDecisionsRequest) -> PostDecisions:
    """Translate decisions. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    found.check_length("decisions", request.decisions, least=1, most=MOST_DECISIONS, unit="decisions")
    specs = [_spec(f"decisions[{index}]", each, found) for index, each in enumerate(request.decisions)]
    found.raise_if_any()
    return PostDecisions(tuple(specs))


def checked_decision(request: pb.CheckDecisionRequest) -> DecisionRow:
    """Return the decision of a dry run."""
    found = Violations()
    spec = _spec("decision", request.decision, found)
    found.raise_if_any()
    return DecisionRow(
        0, spec.agent_id, spec.role, spec.task_id, spec.subject, spec.choice, spec.scope, "", spec.confidence, 0, 0
    )


def withdraw_command(request: pb.WithdrawDecisionRequest) -> WithdrawDecision:
    """Translate a withdrawal."""
    found = Violations()
    found.check_id("agent_id", request.agent_id, optional=True)
    found.raise_if_any()
    return WithdrawDecision(request.decision_id, request.agent_id)


def set_family_command(request: pb.SetFamilyRequest) -> SetFamily:
    """Translate a family."""
    found, family = Violations(), request.family
    found.check_id("family.name", family.name)
    severity = severity_of("family.severity", family.severity, found)
    found.check_length("family.options", family.options, most=_MOST_OPTIONS, unit="options")
    options = []
    for index, option in enumerate(family.options):
        path = f"family.options[{index}]"
        found.check_length(f"{path}.name", option.name, least=1, most=MAX_TEXT)
        names, members = _words(f"{path}.names", option.names, found), _words(f"{path}.members", option.members, found)
        options.append((option.name, names, members))
    row = FamilyRow(
        name=family.name,
        subjects=_words("family.subjects", family.subjects, found),
        severity=severity,
        options=tuple(options),
        general=_words("family.general", family.general, found),
        common_words=_words("family.common_words", family.common_words, found),
    )
    found.raise_if_any()
    return SetFamily(row)


def delete_family_command(request: pb.DeleteFamilyRequest) -> DeleteFamily:
    """Translate a removal."""
    return DeleteFamily(request.name)


def set_precedent_command(request: pb.SetPrecedentRequest) -> SetPrecedent:
    """Translate an established choice."""
    found, given = Violations(), request.precedent
    found.check_id("precedent.precedent_id", given.precedent_id)
    _check_texts("precedent", given, found)
    confidence = _confidence("precedent.confidence", given.confidence, found)
    found.raise_if_any()
    row = PrecedentRow(given.precedent_id, given.subject, given.choice, given.scope, confidence, "", 0)
    return SetPrecedent(row)


def delete_precedent_command(request: pb.DeletePrecedentRequest) -> DeletePrecedent:
    """Translate a removal."""
    return DeletePrecedent(request.precedent_id)


def listing_of(request: pb.ListDecisionsRequest) -> tuple[int, Filter[DecisionRow]]:
    """Return the size of a page, and what is selected."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, DECISION_FIELDS, found)
    found.raise_if_any()
    return size, selected


def page_size(request: pb.ListFamiliesRequest | pb.ListPrecedentsRequest) -> int:
    """Return the size of a page."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return size


def severity_of(field: str, value: int, found: Violations) -> Severity:
    """Return a severity, MEDIUM if it is unspecified, and note what is wrong with it."""
    known = found.check_one_of(field, value, (0, *Severity))
    return Severity(value) if known and value else Severity.MEDIUM


def decision_message(row: DecisionRow) -> decision_pb2.Decision:
    """Return a decision as the contract has it."""
    return decision_pb2.Decision(
        decision_id=row.number,
        agent_id=row.agent_id,
        role=row.role,
        task_id=row.task_id,
        subject=row.subject,
        choice=row.choice,
        scope=row.scope,
        rationale=row.rationale,
        confidence=row.confidence / 1_000,
        decide_time=timestamp(row.decided_wall),
        supersedes=row.supersedes,
        standing=cast("decision_pb2.Decision.Standing.ValueType", int(row.standing)),
        overruled_by=row.overruled_by,
    )


def contradiction_messages(pairs: Sequence[Disagreement]) -> list[decision_pb2.Contradiction]:
    """Return contradictions as the contract has them."""
    return [
        decision_pb2.Contradiction(
            type=cast("decision_pb2.Contradiction.Type.ValueType", int(found.kind)),
            one=decision_message(one),
            other=decision_message(other),
            family=found.family,
            severity=severity_value(found.severity),
            confidence=found.confidence,
        )
        for one, other, found in pairs
    ]


def severity_value(severity: Severity) -> severity_pb2.Severity.ValueType:
    """Return a severity as the contract has it."""
    return cast("severity_pb2.Severity.ValueType", int(severity))


def family_message(row: FamilyRow) -> decision_pb2.Family:
    """Return a family as the contract has it."""
    return decision_pb2.Family(
        name=row.name,
        subjects=row.subjects,
        severity=severity_value(row.severity),
        options=[
            decision_pb2.Family.Option(name=name, names=names, members=members) for name, names, members in row.options
        ],
        general=row.general,
        common_words=row.common_words,
    )


def precedent_message(row: PrecedentRow) -> decision_pb2.Precedent:
    """Return an established choice as the contract has it."""
    return decision_pb2.Precedent(
        precedent_id=row.precedent_id,
        subject=row.subject,
        choice=row.choice,
        scope=row.scope,
        confidence=row.confidence / 1_000,
        conflict_id=row.conflict_id,
        set_time=timestamp(row.set_wall),
    )


def _spec(field: str, given: decision_pb2.Decision, found: Violations) -> DecisionSpec:
    found.check_id(f"{field}.agent_id", given.agent_id)
    found.check_length(f"{field}.role", given.role, most=MAX_TEXT)
    found.check_length(f"{field}.task_id", given.task_id, most=MAX_TEXT)
    found.check_length(f"{field}.rationale", given.rationale, most=_MOST_RATIONALE)
    _check_texts(field, given, found)
    return DecisionSpec(
        agent_id=given.agent_id,
        subject=given.subject,
        choice=given.choice,
        scope=given.scope,
        rationale=given.rationale,
        confidence=_confidence(f"{field}.confidence", given.confidence, found),
        role=given.role,
        task_id=given.task_id,
    )


def _check_texts(field: str, given: decision_pb2.Decision | decision_pb2.Precedent, found: Violations) -> None:
    found.check_length(f"{field}.subject", given.subject, most=MOST_SUBJECT)
    found.check_length(f"{field}.choice", given.choice, least=1, most=MOST_CHOICE)
    found.check_length(f"{field}.scope", given.scope, most=MOST_SCOPE)
    found.check(f"{field}.choice", not given.choice or not given.choice.isspace(), "must say something")


def _confidence(field: str, value: float, found: Violations) -> int:
    if not found.check(field, not math.isnan(value), "must be a number"):
        return 0
    found.check_range(field, value, least=0, most=1)
    return round(min(1.0, max(0.0, value)) * 1_000)


def _words(field: str, given: Iterable[str], found: Violations) -> tuple[str, ...]:
    words = tuple(given)
    found.check_length(field, words, most=_MOST_NAMES, unit="words")
    for index, word in enumerate(words[:_MOST_NAMES]):
        found.check_length(f"{field}[{index}]", word, least=1, most=MAX_TEXT)
    return words

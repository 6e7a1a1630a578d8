"""Column frames of the contract as plain Python columns.

The edge calls this on receipt, after it has validated the frame, and the codec on replay, so that both see the same.
Defaults of the contract are filled in here and nowhere else.
"""

from __future__ import annotations

from typing import Final, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.scheduler.v1 import claim_spec_pb2, task_pb2, task_service_pb2, work_service_pb2
from tercio_common.epochs import Epoch
from tercio_scheduler.state.columns import NO_ATTEMPTS, AttemptColumns, Failure, SubmitColumns, WorkColumns
from tercio_scheduler.state.rows import ClaimSpec, Outcome, Template

DEFAULT_PRIORITY: Final = 5
DEFAULT_ATTEMPT_TIMEOUT_MS: Final = 300_000
DEFAULT_MAX_ATTEMPTS: Final = 3
DEFAULT_INITIAL_BACKOFF_MS: Final = 1_000
DEFAULT_MULTIPLIER_PERMILLE: Final = 2_000
DEFAULT_MAX_BACKOFF_MS: Final = 300_000

_MOST_KNOWN: Final = 1000
"""Templates that are kept built: clients send the same one with every frame; it costs as much as a hundred tasks."""

_known: dict[bytes, Template] = {}
_OUTCOMES: Final = {int(outcome): outcome for outcome in Outcome}


def template_of(message: task_pb2.TaskTemplate) -> Template:
    """Return the template with every default filled in."""
    encoded = message.SerializeToString()
    template = _known.get(encoded)
    if template is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        template = _known[encoded] = _build_template(message)
    return template


def _build_template(message: task_pb2.TaskTemplate) -> Template:
    retry = message.retry
    return Template(
        task_type=message.task_type,
        priority=message.priority if message.HasField("priority") else DEFAULT_PRIORITY,
        required_capabilities=tuple(sorted(message.required_capabilities.items())),
        target_agent_id=message.target_agent_id,
        attempt_timeout_ms=_duration_ms(message, "attempt_timeout", DEFAULT_ATTEMPT_TIMEOUT_MS),
        deadline_wall=_milliseconds(message.deadline) if message.HasField("deadline") else 0,
        deadline_in_ms=_duration_ms(message, "deadline_in", 0),
        max_attempts=retry.max_attempts or DEFAULT_MAX_ATTEMPTS,
        initial_backoff_ms=_duration_ms(retry, "initial_backoff", DEFAULT_INITIAL_BACKOFF_MS),
        multiplier_permille=retry.multiplier_permille or DEFAULT_MULTIPLIER_PERMILLE,
        max_backoff_ms=_duration_ms(retry, "max_backoff", DEFAULT_MAX_BACKOFF_MS),
        require_capable_agent=message.require_capable_agent,
        labels=tuple(sorted(message.labels.items())),
        resources=tuple(sorted(message.resources.items())),
        tenant=message.tenant,
        pool_labels=tuple(sorted(message.pool_labels.items())),
        claims=tuple(sorted({_claim(each) for each in message.claims})),
    )


def template_message(template: Template) -> task_pb2.TaskTemplate:
    """Return the template as a message, every default written out."""
    message = task_pb2.TaskTemplate(
        task_type=template.task_type,
        priority=template.priority,
        required_capabilities=dict(template.required_capabilities),
        target_agent_id=template.target_agent_id,
        attempt_timeout=_duration(template.attempt_timeout_ms),
        retry=task_pb2.RetryPolicy(
            max_attempts=template.max_attempts,
            initial_backoff=_duration(template.initial_backoff_ms),
            multiplier_permille=template.multiplier_permille,
            max_backoff=_duration(template.max_backoff_ms),
        ),
        require_capable_agent=template.require_capable_agent,
        labels=dict(template.labels),
        resources=dict(template.resources),
        tenant=template.tenant,
        pool_labels=dict(template.pool_labels),
        claims=map(claim_message, template.claims),
    )
    if template.deadline_wall:
        message.deadline.CopyFrom(timestamp(template.deadline_wall))
    if template.deadline_in_ms:
        message.deadline_in.CopyFrom(_duration(template.deadline_in_ms))
    return message


def _claim(message: claim_spec_pb2.ClaimSpec) -> ClaimSpec:
    return ClaimSpec(message.kind, message.scope, message.name, message.mode or claim_spec_pb2.ClaimSpec.MODE_EXCLUSIVE)


def claim_message(claim: ClaimSpec) -> claim_spec_pb2.ClaimSpec:
    """Return a claim as a message."""
    kind = cast("claim_spec_pb2.ClaimSpec.Kind.ValueType", claim.kind)
    mode = cast("claim_spec_pb2.ClaimSpec.Mode.ValueType", claim.mode)
    return claim_spec_pb2.ClaimSpec(kind=kind, scope=claim.scope, name=claim.name, mode=mode)


def submit_columns(frame: task_service_pb2.SubmitFrame) -> SubmitColumns:
    """Return a valid frame's columns."""
    return SubmitColumns(
        templates=tuple([template_of(template) for template in frame.templates]),
        task_ids=tuple(frame.task_ids),
        payloads=tuple(frame.payloads),
        template_indexes=tuple(frame.template_indexes),
        dependencies={entry.index: tuple(dict.fromkeys(entry.depends_on)) for entry in frame.dependencies},
        plan_id=frame.plan_id,
    )


def attempt_columns(columns: work_service_pb2.AttemptColumns) -> AttemptColumns:
    """Return valid columns of attempts."""
    task_ids = tuple(columns.task_ids)
    if not task_ids:
        return NO_ATTEMPTS
    return AttemptColumns(
        task_ids=task_ids,
        numbers=tuple(columns.numbers),
        epochs=tuple([Epoch(epoch.generation, epoch.revision) for epoch in columns.epochs]),
        epoch_indexes=tuple(columns.epoch_indexes),
    )


def work_columns(frame: work_service_pb2.WorkFrame) -> WorkColumns:
    """Return a valid frame's columns."""
    return WorkColumns(
        started=attempt_columns(frame.started),
        ended=attempt_columns(frame.ended),
        outcomes=tuple([_OUTCOMES[outcome] for outcome in frame.outcomes]),
        results=tuple(frame.results),
        run_micros=tuple(frame.run_micros),
        failures={
            failure.index: Failure(failure.reason, failure.message, failure.permanent) for failure in frame.failures
        },
        checkpointed=attempt_columns(frame.checkpointed),
        checkpoints={checkpoint.index: checkpoint.data for checkpoint in frame.checkpoints},
    )


def timestamp(wall: int) -> Timestamp:
    """Return a time given in ms since 1970."""
    return Timestamp(seconds=wall // 1000, nanos=wall % 1000 * 1_000_000)


def _duration(duration_ms: int) -> Duration:
    return Duration(seconds=duration_ms // 1000, nanos=duration_ms % 1000 * 1_000_000)


def _milliseconds(message: Duration | Timestamp) -> int:
    return message.seconds * 1000 + message.nanos // 1_000_000


def _duration_ms(message: task_pb2.TaskTemplate | task_pb2.RetryPolicy, name: str, default: int) -> int:
    return _milliseconds(getattr(message, name)) if message.HasField(name) else default  # type: ignore[arg-type]

"""Configurations and roll-outs: contract to domain and back. Every violation of a request is reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.registry.v1 import agent_config_pb2, rollout_pb2
from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio_common.filtering.grammar import FilterError
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_registry.state.config_commands import (
    DEFAULT_OBSERVE_MS,
    DEFAULT_TIMEOUT_MS,
    Change,
    RollbackConfig,
    SetConfigSchema,
    StartRollout,
    UpdateConfig,
)
from tercio_registry.state.documents import MAX_BYTES, Difference
from tercio_registry.state.filters import compile_expression
from tercio_registry.state.revisions import ConfigSchemaRow, RevisionRow
from tercio_registry.state.rollout_rows import RolloutRow
from tercio_registry.state.rollouts import MOST_STEP
from tercio_registry.state.schemas import MAX_SCHEMA_BYTES

Revision = agent_config_pb2.ConfigRevision
_NOTHING: Mapping[int, int] = {}
_HOUR_MS = 3_600_000
_MOST_TIMEOUT_MS = 300_000
_MAX_FILTER = 2_048

Changing = pb.UpdateConfigRequest | pb.StartRolloutRequest
Trying = pb.UpdateConfigRequest | pb.RollbackConfigRequest
Naming = pb.GetRolloutRequest | pb.PauseRolloutRequest | pb.CancelRolloutRequest


def update_command(request: pb.UpdateConfigRequest) -> UpdateConfig:
    """Translate an update. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    found.check_id("agent_id", request.agent_id)
    change = _change(request, found)
    observe, timeout = _observe(request, found), _timeout(request, found)
    found.raise_if_any()
    return UpdateConfig(
        agent_id=request.agent_id,
        change=change,
        expected=request.expected_revision if request.HasField("expected_revision") else None,
        observe=observe,
        timeout=timeout,
        dry=request.validate_only,
    )


def rollback_command(request: pb.RollbackConfigRequest) -> RollbackConfig:
    """Translate a way back."""
    found = Violations()
    found.check_id("agent_id", request.agent_id)
    observe, timeout = _observe(request, found), _timeout(request, found)
    found.raise_if_any()
    return RollbackConfig(agent_id=request.agent_id, revision=request.revision, observe=observe, timeout=timeout)


def schema_command(request: pb.SetConfigSchemaRequest) -> SetConfigSchema:
    """Translate a schema."""
    check_agent_type(request.agent_type)
    found = Violations()
    found.check_length("document", request.document.encode(), most=MAX_SCHEMA_BYTES, unit="bytes")
    found.raise_if_any()
    return SetConfigSchema(agent_type=request.agent_type, document=request.document)


def start_command(request: pb.StartRolloutRequest, *, rollout_id: str) -> StartRollout:
    """Translate a roll-out; `rollout_id` is used when the request has none."""
    found = Violations()
    found.check_id("rollout_id", request.rollout_id, optional=True)
    if found.check_length("filter", request.filter, most=_MAX_FILTER):
        try:
            compile_expression(request.filter)
        except FilterError as error:
            found.add("filter", str(error))
    change = _change(request, found)
    step = request.WhichOneof("step")
    if step == "step_percent":
        found.check_range("step_percent", request.step_percent, least=1, most=100)
    else:
        found.check_range("step_size", request.step_size, least=1, most=MOST_STEP)
    pause = found.check_duration("pause", request.pause, least_ms=0, most_ms=24 * _HOUR_MS)
    observe = _observe(request, found)
    found.raise_if_any()
    return StartRollout(
        rollout_id=request.rollout_id or rollout_id,
        filter=request.filter,
        change=change,
        step_size=request.step_size,
        percent=request.step_percent,
        pause=pause,
        observe=observe,
        max_failures=request.max_failures,
        rolls_back=request.rollback_on_failure,
    )


def rollout_id_of(request: Naming) -> str:
    """Return which roll-out is meant."""
    found = Violations()
    found.check_id("rollout_id", request.rollout_id)
    found.raise_if_any()
    return request.rollout_id


def check_agent(agent_id: str) -> None:
    """Check which agent is meant."""
    found = Violations()
    found.check_id("agent_id", agent_id)
    found.raise_if_any()


def check_agent_type(agent_type: str) -> None:
    """Check which type of agent is meant."""
    found = Violations()
    found.check_length("agent_type", agent_type, least=1, most=MAX_TEXT)
    found.raise_if_any()


def revision_message(
    row: RevisionRow, took: Mapping[int, int] = _NOTHING, *, number: int | None = None
) -> agent_config_pb2.ConfigRevision:
    """Return a revision as the contract has it, with another number if one is given.

    `took` has the nanoseconds of the phases that the leader measured.
    """
    return Revision(
        agent_id=row.agent_id,
        revision=row.revision if number is None else number,
        document=row.document,
        state=cast("Revision.State.ValueType", int(row.state)),
        author=row.author,
        create_time=_timestamp(row.created_wall),
        update_time=_timestamp(row.changed_wall),
        reason=row.reason,
        message=row.message,
        backup_revision=row.backup,
        restored_revision=row.restored,
        rollout_id=row.rollout_id,
        steps=_steps(row, took),
    )


def schema_message(row: ConfigSchemaRow) -> agent_config_pb2.ConfigSchema:
    """Return a schema as the contract has it."""
    return agent_config_pb2.ConfigSchema(
        agent_type=row.agent_type,
        document=row.document,
        author=row.author,
        update_time=_timestamp(row.changed_wall),
        etag=str(row.changed_seq),
    )


def rollout_message(row: RolloutRow) -> rollout_pb2.Rollout:
    """Return a roll-out as the contract has it."""
    message = rollout_summary(row)
    setattr(message, "merge_patch" if row.change.is_patch else "document", row.change.text)
    message.failures.extend(rollout_pb2.Rollout.Failure(**failure._asdict()) for failure in row.failures)
    message.step_agent_ids.extend(member.agent_id for member in row.step)
    return message


def rollout_summary(row: RolloutRow) -> rollout_pb2.Rollout:
    """Return a roll-out as a list has it: small, so that all fit into one answer."""
    return rollout_pb2.Rollout(
        rollout_id=row.rollout_id,
        state=cast("rollout_pb2.Rollout.State.ValueType", int(row.state)),
        filter=row.filter,
        step_size=row.step_size,
        pause=_duration(row.pause),
        observe_duration=_duration(row.observe),
        max_failures=row.max_failures,
        rollback_on_failure=row.rolls_back,
        succeeded_count=row.succeeded,
        failed_count=row.failed,
        restored_count=row.restored,
        author=row.author,
        create_time=_timestamp(row.created_wall),
        update_time=_timestamp(row.changed_wall),
    )


def report_message(revision: Revision, *, elapsed_ns: int, changes: Iterable[Difference] = ()) -> pb.ConfigUpdateReport:
    """Return how a call went that made this revision."""
    report = pb.ConfigUpdateReport(
        validation=revision.steps[0],
        backup_revision=revision.backup_revision,
        rollback_performed=revision.state in {Revision.STATE_FAILED, Revision.STATE_ROLLED_BACK},
        changes=change_messages(changes),
    )
    report.duration.FromNanoseconds(elapsed_ns)
    return report


def change_messages(changes: Iterable[Difference]) -> Iterator[pb.GetConfigDiffResponse.Change]:
    """Give differences as the contract has them."""
    return (pb.GetConfigDiffResponse.Change(**each._asdict()) for each in changes)


def _steps(row: RevisionRow, took: Mapping[int, int]) -> Iterator[Revision.Step]:
    """Say what was done, in order, as far as it got and with what is known of how long it took."""
    for step in _done(row):
        if step.phase in took:
            step.duration.FromNanoseconds(took[step.phase])
        yield step


def _done(row: RevisionRow) -> Iterator[Revision.Step]:
    how = "it conforms to the schema of its agent's type"
    yield _step(Revision.PHASE_VALIDATE, how if row.checked else "there is no schema: any object is valid")
    yield _step(Revision.PHASE_BACKUP, f"revision {row.backup}" if row.backup else "there was no configuration")
    if row.reason == "CONFIGURATION_APPLY_FAILED":
        yield _step(Revision.PHASE_APPLY, row.message, passed=False, took=row.apply_took)
    elif row.reason == "POST_UPDATE_VALIDATION_FAILED":
        yield _step(Revision.PHASE_APPLY, "the agent took it", took=row.apply_took)
        yield _step(Revision.PHASE_REVALIDATE, row.message, passed=False)
    elif row.apply_took >= 0:
        yield _step(Revision.PHASE_APPLY, "the agent took it", took=row.apply_took)
        yield _step(Revision.PHASE_REVALIDATE, "the agent runs it")
    if row.observed >= 0:
        passed = row.reason != "CONFIG_REGRESSION"
        detail = "the agent did not get worse" if passed else row.message
        yield _step(Revision.PHASE_OBSERVE, detail, passed=passed, took=row.observed)


def _step(phase: Revision.Phase.ValueType, detail: str, *, passed: bool = True, took: int = -1) -> Revision.Step:
    return Revision.Step(phase=phase, passed=passed, duration=_duration(took) if took >= 0 else None, detail=detail)


def _change(request: Changing, found: Violations) -> Change:
    kind = request.WhichOneof("change")
    found.check("document", kind is not None, "give a document or a merge_patch")
    text = request.merge_patch if kind == "merge_patch" else request.document
    found.check_length(kind or "document", text.encode(), most=MAX_BYTES, unit="bytes")
    return Change(text, is_patch=kind == "merge_patch")


def _observe(request: Trying | pb.StartRolloutRequest, found: Violations) -> int:
    if not request.HasField("observe_duration"):
        return DEFAULT_OBSERVE_MS
    return found.check_duration("observe_duration", request.observe_duration, least_ms=0, most_ms=_HOUR_MS)


def _timeout(request: Trying, found: Violations) -> int:
    if not request.HasField("apply_timeout"):
        return DEFAULT_TIMEOUT_MS
    return found.check_duration("apply_timeout", request.apply_timeout, least_ms=100, most_ms=_MOST_TIMEOUT_MS)


def _timestamp(milliseconds: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(milliseconds)
    return stamp


def _duration(milliseconds: int) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return duration

"""Configurations and roll-outs as protobuf. A field that was ever written stays readable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from google.protobuf.message import Message

from tercio_registry.records.v1 import config_pb2, events_pb2
from tercio_registry.state import config_events as events
from tercio_registry.state.agents import Ailment, Health
from tercio_registry.state.config_commands import Change
from tercio_registry.state.revisions import (
    CONFIG_SCHEMAS,
    CONFIGURATIONS,
    REVISIONS,
    ConfigSchemaRow,
    ConfigurationRow,
    RevisionRow,
    RevisionState,
    Stage,
)
from tercio_registry.state.rollout_rows import Failure, Member, RolloutRow, RolloutState
from tercio_registry.state.rollouts import ROLLOUTS


def _proposed_record(event: events.ConfigProposed) -> config_pb2.ConfigProposed:
    return config_pb2.ConfigProposed(
        agent_id=event.agent_id,
        revision=event.revision,
        document=event.document,
        restored=event.restored,
        rollout_id=event.rollout_id,
        observe_ms=event.observe,
        timeout_ms=event.timeout,
        checked=event.checked,
    )


def _proposed(record: config_pb2.ConfigProposed) -> events.ConfigProposed:
    return events.ConfigProposed(
        agent_id=record.agent_id,
        revision=record.revision,
        document=record.document,
        restored=record.restored,
        rollout_id=record.rollout_id,
        observe=record.observe_ms,
        timeout=record.timeout_ms,
        checked=record.checked,
    )


def _begun_record(event: events.ConfigDeliveriesBegun) -> config_pb2.ConfigDeliveriesBegun:
    return config_pb2.ConfigDeliveriesBegun(
        deliveries=[
            config_pb2.ConfigDelivery(
                agent_id=each.agent_id, incarnation=each.incarnation, system_task_id=each.system_task_id
            )
            for each in event.deliveries
        ]
    )


def _begun(record: config_pb2.ConfigDeliveriesBegun) -> events.ConfigDeliveriesBegun:
    return events.ConfigDeliveriesBegun(
        tuple(events.ConfigDelivery(each.agent_id, each.incarnation, each.system_task_id) for each in record.deliveries)
    )


def _restored_record(event: events.ConfigRestored) -> config_pb2.ConfigRestored:
    return config_pb2.ConfigRestored(
        agent_id=event.agent_id, state=event.state, reason=event.reason, message=event.message
    )


def _restored(record: config_pb2.ConfigRestored) -> events.ConfigRestored:
    return events.ConfigRestored(
        agent_id=record.agent_id, state=RevisionState(record.state), reason=record.reason, message=record.message
    )


def _started_record(event: events.RolloutStarted | RolloutRow) -> config_pb2.RolloutStarted:
    return config_pb2.RolloutStarted(
        rollout_id=event.rollout_id,
        filter=event.filter,
        change=event.change.text,
        is_patch=event.change.is_patch,
        step_size=event.step_size,
        pause_ms=event.pause,
        observe_ms=event.observe,
        max_failures=event.max_failures,
        rolls_back=event.rolls_back,
    )


def _started_fields(record: config_pb2.RolloutStarted) -> dict[str, Any]:
    return {
        "rollout_id": record.rollout_id,
        "filter": record.filter,
        "change": Change(record.change, record.is_patch),
        "step_size": record.step_size,
        "pause": record.pause_ms,
        "observe": record.observe_ms,
        "max_failures": record.max_failures,
        "rolls_back": record.rolls_back,
    }


def _advanced_record(event: events.RolloutAdvanced) -> config_pb2.RolloutAdvanced:
    return config_pb2.RolloutAdvanced(
        rollout_id=event.rollout_id,
        state=event.state,
        joined=_member_records(event.joined),
        after=event.after,
        room=event.room,
        exhausted=event.exhausted,
        step_ended=event.step_ended,
        succeeded=event.succeeded,
        restored=event.restored,
        failures=_failure_records(event.failures),
    )


def _advanced(record: config_pb2.RolloutAdvanced) -> events.RolloutAdvanced:
    return events.RolloutAdvanced(
        rollout_id=record.rollout_id,
        state=RolloutState(record.state),
        joined=_members(record.joined),
        after=record.after,
        room=record.room,
        exhausted=record.exhausted,
        step_ended=record.step_ended,
        succeeded=record.succeeded,
        restored=record.restored,
        failures=_failures(record.failures),
    )


def _member_records(members: Iterable[Member]) -> list[config_pb2.RolloutMember]:
    return [config_pb2.RolloutMember(agent_id=each.agent_id, revision=each.revision) for each in members]


def _members(records: Iterable[config_pb2.RolloutMember]) -> tuple[Member, ...]:
    return tuple(Member(each.agent_id, each.revision) for each in records)


def _failure_records(failures: Iterable[Failure]) -> list[config_pb2.RolloutFailure]:
    return [
        config_pb2.RolloutFailure(agent_id=each.agent_id, revision=each.revision, reason=each.reason)
        for each in failures
    ]


def _failures(records: Iterable[config_pb2.RolloutFailure]) -> tuple[Failure, ...]:
    return tuple(Failure(each.agent_id, each.revision, each.reason) for each in records)


def _revision_record(row: RevisionRow) -> config_pb2.RevisionRow:
    return config_pb2.RevisionRow(
        agent_id=row.agent_id,
        revision=row.revision,
        document=row.document,
        state=row.state,
        author=row.author,
        created_wall_ms=row.created_wall,
        changed_wall_ms=row.changed_wall,
        reason=row.reason,
        message=row.message,
        backup=row.backup,
        restored=row.restored,
        rollout_id=row.rollout_id,
        observe_ms=row.observe,
        timeout_ms=row.timeout,
        checked=row.checked,
        apply_took_ms=row.apply_took + 1,
        observed_ms=row.observed + 1,
    )


def _revision_row(data: bytes) -> RevisionRow:
    record = config_pb2.RevisionRow.FromString(data)
    return RevisionRow(
        agent_id=record.agent_id,
        revision=record.revision,
        document=record.document,
        state=RevisionState(record.state),
        author=record.author,
        created_wall=record.created_wall_ms,
        changed_wall=record.changed_wall_ms,
        reason=record.reason,
        message=record.message,
        backup=record.backup,
        restored=record.restored,
        rollout_id=record.rollout_id,
        observe=record.observe_ms,
        timeout=record.timeout_ms,
        checked=record.checked,
        apply_took=record.apply_took_ms - 1,
        observed=record.observed_ms - 1,
    )


def _configuration_record(row: ConfigurationRow) -> config_pb2.ConfigurationRow:
    return config_pb2.ConfigurationRow(
        agent_id=row.agent_id,
        newest=row.newest,
        active=row.active,
        trial=row.trial,
        stage=row.stage,
        due_ms=row.due,
        since_ms=row.since,
        system_task_id=row.system_task_id,
        tries=row.tries,
        incarnation=row.incarnation,
        health=row.health,
        rollout_id=row.rollout_id,
        ailments=row.ailments,
    )


def _configuration_row(data: bytes) -> ConfigurationRow:
    record = config_pb2.ConfigurationRow.FromString(data)
    return ConfigurationRow(
        agent_id=record.agent_id,
        newest=record.newest,
        active=record.active,
        trial=record.trial,
        stage=Stage(record.stage),
        due=record.due_ms,
        since=record.since_ms,
        system_task_id=record.system_task_id,
        tries=record.tries,
        incarnation=record.incarnation,
        health=Health(record.health),
        rollout_id=record.rollout_id,
        ailments=tuple(map(Ailment, record.ailments)),
    )


def _schema_record(row: ConfigSchemaRow) -> config_pb2.ConfigSchemaRow:
    return config_pb2.ConfigSchemaRow(
        agent_type=row.agent_type,
        document=row.document,
        author=row.author,
        changed_wall_ms=row.changed_wall,
        changed_seq=row.changed_seq,
    )


def _schema_row(data: bytes) -> ConfigSchemaRow:
    record = config_pb2.ConfigSchemaRow.FromString(data)
    return ConfigSchemaRow(
        record.agent_type, record.document, record.author, record.changed_wall_ms, record.changed_seq
    )


def _rollout_record(row: RolloutRow) -> config_pb2.RolloutRow:
    return config_pb2.RolloutRow(
        started=_started_record(row),
        state=row.state,
        created_seq=row.created_seq,
        author=row.author,
        created_wall_ms=row.created_wall,
        changed_wall_ms=row.changed_wall,
        due_ms=row.due,
        after=row.after,
        room=row.room,
        exhausted=row.exhausted,
        step=_member_records(row.step),
        succeeded=row.succeeded,
        failed=row.failed,
        restored=row.restored,
        failures=_failure_records(row.failures),
    )


def _rollout_row(data: bytes) -> RolloutRow:
    record = config_pb2.RolloutRow.FromString(data)
    return RolloutRow(
        **_started_fields(record.started),
        state=RolloutState(record.state),
        created_seq=record.created_seq,
        author=record.author,
        created_wall=record.created_wall_ms,
        changed_wall=record.changed_wall_ms,
        due=record.due_ms,
        after=record.after,
        room=record.room,
        exhausted=record.exhausted,
        step=_members(record.step),
        succeeded=record.succeeded,
        failed=record.failed,
        restored=record.restored,
        failures=_failures(record.failures),
    )


def _agent(event: Any) -> dict[str, str]:
    return {"agent_id": event.agent_id}


ENCODERS: Final[Mapping[type[Any], Callable[[Any], events_pb2.Event]]] = {
    events.ConfigProposed: lambda e: events_pb2.Event(config_proposed=_proposed_record(e)),
    events.ConfigDeliveriesBegun: lambda e: events_pb2.Event(config_deliveries_begun=_begun_record(e)),
    events.ConfigDelivered: lambda e: events_pb2.Event(config_delivered=config_pb2.ConfigDelivered(**_agent(e))),
    events.ConfigRetried: lambda e: events_pb2.Event(config_retried=config_pb2.ConfigRetried(**_agent(e))),
    events.ConfigActivated: lambda e: events_pb2.Event(config_activated=config_pb2.ConfigActivated(**_agent(e))),
    events.ConfigRestored: lambda e: events_pb2.Event(config_restored=_restored_record(e)),
    events.ConfigSchemaSet: lambda e: events_pb2.Event(
        config_schema_set=config_pb2.ConfigSchemaSet(agent_type=e.agent_type, document=e.document)
    ),
    events.RolloutStarted: lambda e: events_pb2.Event(rollout_started=_started_record(e)),
    events.RolloutAdvanced: lambda e: events_pb2.Event(rollout_advanced=_advanced_record(e)),
}

DECODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "config_proposed": _proposed,
    "config_deliveries_begun": _begun,
    "config_delivered": lambda r: events.ConfigDelivered(r.agent_id),
    "config_retried": lambda r: events.ConfigRetried(r.agent_id),
    "config_activated": lambda r: events.ConfigActivated(r.agent_id),
    "config_restored": _restored,
    "config_schema_set": lambda r: events.ConfigSchemaSet(agent_type=r.agent_type, document=r.document),
    "rollout_started": lambda r: events.RolloutStarted(**_started_fields(r)),
    "rollout_advanced": _advanced,
}

ROW_ENCODERS: Final[Mapping[str, Callable[[Any], Message]]] = {
    REVISIONS: _revision_record,
    CONFIGURATIONS: _configuration_record,
    CONFIG_SCHEMAS: _schema_record,
    ROLLOUTS: _rollout_record,
}

ROW_DECODERS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    REVISIONS: _revision_row,
    CONFIGURATIONS: _configuration_row,
    CONFIG_SCHEMAS: _schema_row,
    ROLLOUTS: _rollout_row,
}

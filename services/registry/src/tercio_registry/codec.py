"""Events and rows as protobuf. A field that was ever written stays readable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import Message

from tercio_common.machine import system_tasks_codec
from tercio_common.machine.descriptions import describe
from tercio_common.machine.protocol import Description
from tercio_common.machine.system_tasks import SYSTEM_TASKS, SystemTasksClosed, SystemTasksOpened
from tercio_common.records.v1 import system_task_pb2
from tercio_registry import config_codec, performance_codec
from tercio_registry.records.v1 import events_pb2 as records
from tercio_registry.state import events
from tercio_registry.state.agents import AgentRow, Ailment, Amount, Drain, Health, IncarnationFloor, Membership, Profile
from tercio_registry.state.history import HISTORY
from tercio_registry.state.machine import AGENTS, INCARNATIONS
from tercio_registry.state.obligations import REGISTRATIONS, RegistrationRow, Stage
from tercio_registry.state.performance import PERFORMANCE


def encode_event(event: Any) -> bytes:
    """Encode one event."""
    return _ENCODERS[type(event)](event).SerializeToString(deterministic=True)


def decode_event(data: bytes) -> events.Event:
    """Decode one event; raises ValueError for bytes that no version wrote."""
    event = records.Event.FromString(data)
    kind = event.WhichOneof("kind")
    if kind is None:
        raise ValueError("an event of a kind that this version does not know; run a newer version")
    return _DECODERS[kind](getattr(event, kind))


class RegistryCodec:
    """The registry's `Codec`."""

    def encode_event(self, event: Any) -> bytes:
        return encode_event(event)

    def decode_event(self, data: bytes) -> events.Event:
        return decode_event(data)

    def describe_event(self, data: bytes) -> Description:
        event = records.Event.FromString(data)
        return describe(event, event.WhichOneof("kind") or "")

    def encode_row(self, table: str, row: Any) -> bytes:
        return _ROW_ENCODERS[table](row).SerializeToString(deterministic=True)

    def decode_row(self, table: str, data: bytes) -> object:
        if table == INCARNATIONS:
            return IncarnationFloor(records.IncarnationRow.FromString(data).floor)
        if table == AGENTS:
            return _agent_row(records.AgentRow.FromString(data))
        if table == SYSTEM_TASKS:
            return system_tasks_codec.row_of(system_task_pb2.SystemTaskRow.FromString(data))
        if table == REGISTRATIONS:
            row = records.RegistrationRow.FromString(data)
            return RegistrationRow(row.registration_id, Stage(row.stage))
        if table == PERFORMANCE:
            return performance_codec.performance_of(data)
        if table == HISTORY:
            return performance_codec.history_of(data)
        if table in config_codec.ROW_DECODERS:
            return config_codec.ROW_DECODERS[table](data)
        raise ValueError(f"the registry has no table {table!r}")


def _profile_record(profile: Profile) -> records.Profile:
    return records.Profile(
        agent_type=profile.agent_type,
        version=profile.version,
        capabilities=dict(profile.capabilities),
        labels=dict(profile.labels),
        concurrency=profile.concurrency,
        resource_requirements=_amount_records(profile.resource_requirements),
        max_resources=_amount_records(profile.max_resources),
        started_wall_ms=profile.started_wall,
    )


def _profile(record: records.Profile) -> Profile:
    return Profile(
        agent_type=record.agent_type,
        version=record.version,
        capabilities=tuple(sorted(record.capabilities.items())),
        labels=tuple(sorted(record.labels.items())),
        concurrency=record.concurrency,
        resource_requirements=_amounts(record.resource_requirements),
        max_resources=_amounts(record.max_resources),
        started_wall=record.started_wall_ms,
    )


def _amount_records(amounts: Iterable[Amount]) -> list[records.Amount]:
    return [records.Amount(dimension=each.dimension, amount=each.amount, unit=each.unit) for each in amounts]


def _amounts(found: Iterable[records.Amount]) -> tuple[Amount, ...]:
    return tuple(Amount(record.dimension, record.amount, record.unit) for record in found)


def _drain_record(drain: Drain | None) -> records.Drain | None:
    return (
        None
        if drain is None
        else records.Drain(finished=drain.finished, returned=drain.returned, duration_ms=drain.duration)
    )


def _drain(record: records.Drain) -> Drain:
    return Drain(record.finished, record.returned, record.duration_ms)


def _agent_record(row: AgentRow) -> records.AgentRow:
    return records.AgentRow(
        agent_id=row.agent_id,
        profile=_profile_record(row.profile),
        fingerprint=row.fingerprint,
        instance_id=row.instance_id,
        incarnation=row.incarnation,
        membership=row.membership,
        health=row.regularity,
        confirmed_generation=row.confirmed_generation,
        confirmed_revision=row.confirmed_revision,
        cordoned=row.cordoned,
        draining=row.draining,
        reason=row.reason,
        registered_wall_ms=row.registered_wall,
        enrolled_now_ms=row.enrolled_now,
        ended_now_ms=row.ended_now,
        changed_seq=row.changed_seq,
        registration_id=row.registration_id,
        reservation_id=row.reservation_id,
        leave_by_ms=row.leave_by,
        drain=_drain_record(row.drain),
        performance_scores=dict(row.performance),
        ailments=row.ailments,
        config_revision=row.config_revision,
    )


def _agent_row(record: records.AgentRow) -> AgentRow:
    return AgentRow(
        agent_id=record.agent_id,
        profile=_profile(record.profile),
        fingerprint=record.fingerprint,
        instance_id=record.instance_id,
        incarnation=record.incarnation,
        membership=Membership(record.membership),
        regularity=Health(record.health),
        confirmed_generation=record.confirmed_generation,
        confirmed_revision=record.confirmed_revision,
        cordoned=record.cordoned,
        draining=record.draining,
        reason=record.reason,
        registered_wall=record.registered_wall_ms,
        enrolled_now=record.enrolled_now_ms,
        ended_now=record.ended_now_ms,
        changed_seq=record.changed_seq,
        registration_id=record.registration_id,
        reservation_id=record.reservation_id,
        leave_by=record.leave_by_ms,
        drain=_drain(record.drain) if record.HasField("drain") else None,
        performance=tuple(sorted(record.performance_scores.items())),
        ailments=tuple(map(Ailment, record.ailments)),
        config_revision=record.config_revision,
    )


def _incarnation_record(row: IncarnationFloor) -> records.IncarnationRow:
    return records.IncarnationRow(floor=row.value)


def _registered_record(event: events.AgentRegistered) -> records.Event:
    return records.Event(
        agent_registered=records.AgentRegistered(
            agent_id=event.agent_id,
            profile=_profile_record(event.profile),
            fingerprint=event.fingerprint,
            instance_id=event.instance_id,
            incarnation=event.incarnation,
            registration_id=event.registration_id,
            reservation_id=event.reservation_id,
        )
    )


def _registered(record: records.AgentRegistered) -> events.AgentRegistered:
    return events.AgentRegistered(
        agent_id=record.agent_id,
        profile=_profile(record.profile),
        fingerprint=record.fingerprint,
        instance_id=record.instance_id,
        incarnation=record.incarnation,
        registration_id=record.registration_id,
        reservation_id=record.reservation_id,
    )


def _deregistered_record(event: events.AgentDeregistered) -> records.Event:
    return records.Event(
        agent_deregistered=records.AgentDeregistered(
            agent_id=event.agent_id, reason=event.reason, drain=_drain_record(event.drain)
        )
    )


def _deregistered(record: records.AgentDeregistered) -> events.AgentDeregistered:
    drain = _drain(record.drain) if record.HasField("drain") else None
    return events.AgentDeregistered(agent_id=record.agent_id, reason=record.reason, drain=drain)


def _cordoned_record(event: events.AgentCordoned) -> records.Event:
    return records.Event(
        agent_cordoned=records.AgentCordoned(agent_id=event.agent_id, cordoned=event.cordoned, reason=event.reason)
    )


_ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    events.AgentRegistered: _registered_record,
    events.AgentsConfirmed: lambda e: records.Event(
        agents_confirmed=records.AgentsConfirmed(agent_ids=e.agent_ids, health=e.regularity)
    ),
    events.AgentsDeclined: lambda e: records.Event(
        agents_declined=records.AgentsDeclined(health=e.regularity, agent_ids=e.agent_ids)
    ),
    events.AgentsJudged: lambda e: records.Event(
        agents_judged=records.AgentsJudged(ailment=e.ailment, ailing=e.ailing, agent_ids=e.agent_ids)
    ),
    events.AgentsGone: lambda e: records.Event(agents_gone=records.AgentsGone(agent_ids=e.agent_ids, reason=e.reason)),
    events.AgentsEvicted: lambda e: records.Event(agents_evicted=records.AgentsEvicted(agent_ids=e.agent_ids)),
    events.AgentDeregistered: _deregistered_record,
    events.AgentCordoned: _cordoned_record,
    events.AgentDrained: lambda e: records.Event(
        agent_drained=records.AgentDrained(agent_id=e.agent_id, reason=e.reason, leave_by_ms=e.leave_by)
    ),
    events.RegistrationBegun: lambda e: records.Event(
        registration_begun=records.RegistrationBegun(registration_id=e.registration_id)
    ),
    events.RegistrationsUndone: lambda e: records.Event(
        registrations_undone=records.RegistrationsUndone(
            registration_ids=e.registration_ids, keeps_reservations=e.keeps_reservations
        )
    ),
    events.PerformanceRecorded: performance_codec.recorded_record,
    SystemTasksOpened: lambda e: records.Event(system_tasks_opened=system_tasks_codec.opened_record(e)),
    SystemTasksClosed: lambda e: records.Event(system_tasks_closed=system_tasks_codec.closed_record(e)),
    **config_codec.ENCODERS,
}

_ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {
    AGENTS: _agent_record,
    INCARNATIONS: _incarnation_record,
    SYSTEM_TASKS: system_tasks_codec.row_record,
    PERFORMANCE: performance_codec.performance_record,
    HISTORY: performance_codec.history_record,
    **config_codec.ROW_ENCODERS,
    REGISTRATIONS: lambda row: records.RegistrationRow(registration_id=row.registration_id, stage=row.stage),
}

_DECODERS: dict[str, Callable[[Any], events.Event]] = {
    "agent_registered": _registered,
    "agents_confirmed": lambda r: events.AgentsConfirmed(tuple(r.agent_ids), Health(r.health or Health.HEALTHY)),
    "agents_judged": lambda r: events.AgentsJudged(
        ailment=Ailment(r.ailment), ailing=r.ailing, agent_ids=tuple(r.agent_ids)
    ),
    "agents_declined": lambda r: events.AgentsDeclined(Health(r.health), tuple(r.agent_ids)),
    "agents_gone": lambda r: events.AgentsGone(tuple(r.agent_ids), r.reason),
    "agents_evicted": lambda r: events.AgentsEvicted(tuple(r.agent_ids)),
    "agent_deregistered": _deregistered,
    "agent_cordoned": lambda r: events.AgentCordoned(agent_id=r.agent_id, cordoned=r.cordoned, reason=r.reason),
    "agent_drained": lambda r: events.AgentDrained(agent_id=r.agent_id, reason=r.reason, leave_by=r.leave_by_ms),
    "registration_begun": lambda r: events.RegistrationBegun(r.registration_id),
    "registrations_undone": lambda r: events.RegistrationsUndone(
        tuple(r.registration_ids), keeps_reservations=r.keeps_reservations
    ),
    "performance_recorded": performance_codec.recorded_of,
    "system_tasks_opened": system_tasks_codec.opened_of,
    "system_tasks_closed": system_tasks_codec.closed_of,
    **config_codec.DECODERS,
}

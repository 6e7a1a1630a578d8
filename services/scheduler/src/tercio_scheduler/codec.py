"""Events and rows as bytes.

Frames are kept as they came, so that the hot path builds no message a task. What a version wrote stays readable: an
alternative of `Event` is never changed in meaning, a new one is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2, work_service_pb2
from tercio_common.epochs import Epoch
from tercio_common.machine import outbox_codec
from tercio_common.machine.descriptions import describe, kind_of
from tercio_common.machine.outbox import OUTBOX, OutboxAcknowledged
from tercio_common.machine.protocol import Description
from tercio_common.records.v1 import outbox_pb2
from tercio_scheduler import admission_codec, intervention_codec, plan_codec
from tercio_scheduler.frames import submit_columns, template_message, template_of, work_columns
from tercio_scheduler.records.v1 import events_pb2 as records
from tercio_scheduler.state import events, rows
from tercio_scheduler.state.columns import is_set

_STATES: Final = {int(state): state for state in rows.State}
_MOST_SHARED: Final = 10_000
"""Parts of each kind remembered while a snapshot is written or read; more only cost the time to build them again."""


def encode_event(event: Any) -> bytes:
    """Encode one event."""
    name, build = _ENCODERS[type(event)]
    return records.Event(**{name: build(event)}).SerializeToString()


def decode_event(data: bytes) -> Any:
    """Decode one event; raises ValueError for bytes that no version wrote."""
    try:
        message = records.Event.FromString(data)
        name = message.WhichOneof("event")
        if name is None:
            raise ValueError("an event of a version that this program does not know")
        return _DECODERS[name](getattr(message, name))
    except (DecodeError, KeyError) as error:
        raise ValueError(f"malformed event: {error}") from error


class SchedulerCodec:
    """Implements `tercio_common.machine.protocol.Codec`. Keeps shared parts of rows shared when it decodes them."""

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self._template_bytes: dict[rows.Template, bytes] = {}
        self._templates: dict[bytes, rows.Template] = {}
        self._shared: dict[Any, Any] = {}
        self._common: dict[tuple[Any, ...], tuple[rows.Template, bytes]] = {}

    def encode_event(self, event: Any) -> bytes:
        return encode_event(event)

    def decode_event(self, data: bytes) -> Any:
        return decode_event(data)

    def describe_event(self, data: bytes) -> Description:
        event = records.Event.FromString(data)
        name = event.WhichOneof("event") or ""
        if name == "tasks_submitted":
            return Description(kind_of(name), _submitted_names(event.tasks_submitted))
        return describe(event, name)

    def encode_row(self, table: str, row: Any) -> bytes:
        if table == "tasks":
            return self._task_record(row)
        if table == "plans":
            return plan_codec.row_record(row).SerializeToString()
        if table == "carried":
            return records.CarriedRow(**row._asdict()).SerializeToString()
        if table == "admissions":
            return admission_codec.row_record(row).SerializeToString()
        if table == "postponements":
            return records.PostponementRow(**row._asdict()).SerializeToString()
        if table == OUTBOX:
            return outbox_codec.row_record(row).SerializeToString()
        raise ValueError(f"no table is named {table}")

    def decode_row(self, table: str, data: bytes) -> Any:
        try:
            if table == "tasks":
                return self._task_row(records.TaskRow.FromString(data))
            if table == "plans":
                return plan_codec.row_of(records.PlanRow.FromString(data))
            if table == "carried":
                return _carried_row(records.CarriedRow.FromString(data))
            if table == "admissions":
                return admission_codec.row_of(records.AdmissionRow.FromString(data))
            if table == "postponements":
                return intervention_codec.row_of(records.PostponementRow.FromString(data))
            if table == OUTBOX:
                return outbox_codec.row_of(outbox_pb2.OutboxRow.FromString(data))
        except (DecodeError, KeyError) as error:
            raise ValueError(f"malformed row of {table}: {error}") from error
        raise ValueError(f"no table is named {table}")

    def _task_record(self, row: rows.TaskRow) -> bytes:
        spec, past = row.spec, row.past
        message = records.TaskRow(
            task_id=row.task_id,
            payload=spec.payload,
            order=spec.order,
            state=int(row.state),
            position=row.position,
            due_ms=row.due,
            number=row.number,
            result=row.result,
            run_micros=row.run_micros,
        )
        if spec.depends_on:
            message.depends_on.extend(spec.depends_on)
            message.waiting.extend(row.waiting_for)
        if row.why is not rows.NO_REASON:
            message.reason, message.message = row.why
        if past is not rows.NO_PAST:
            message.failures, message.checkpoint = past.failures, past.checkpoint
            message.errors.extend(map(_error_record, past.errors))
        if row.cancel_to is not None:
            message.cancel_to = int(row.cancel_to)
        # Messages of one type that follow one another are one message: so the parts are never parsed to be joined.
        return message.SerializeToString() + self._common_part(row)

    def _common_part(self, row: rows.TaskRow) -> bytes:
        """Return what a row has in common with those that came, were offered and ended with it; most rows find it."""
        spec, offer = row.spec, row.offer
        accepted, ready, entered = spec.accepted, row.ready, row.entered
        template = spec.template
        # A template's own hash costs as much as all the rest; as it is kept here, no other can have its identity.
        key = (id(template), spec.plan_id, spec.submitter, accepted, spec.deadline, ready, entered, offer)
        found = self._common.get(key)
        if found is None:
            if len(self._common) >= _MOST_SHARED:
                self._common.clear()
            message = records.TaskRow(
                template=self._encode_template(template),
                plan_id=spec.plan_id,
                submitter=spec.submitter,
                accepted_now_ms=accepted.now,
                accepted_wall_ms=accepted.wall,
                deadline_wall_ms=spec.deadline,
                ready_seq=ready.seq,
                ready_now_ms=ready.now,
                ready_wall_ms=ready.wall,
                entered_now_ms=entered.now,
                entered_wall_ms=entered.wall,
                offer=None if offer is None else _offer_record(offer),
            )
            found = self._common[key] = (template, message.SerializeToString())
        return found[1]

    def _task_row(self, message: records.TaskRow) -> rows.TaskRow:
        share = self._share
        spec = rows.TaskSpec(
            template=self._decode_template(message.template),
            payload=message.payload,
            depends_on=tuple(message.depends_on),
            plan_id=message.plan_id,
            submitter=message.submitter,
            accepted=share(rows.Instant(message.accepted_now_ms, message.accepted_wall_ms)),
            order=message.order,
            deadline=message.deadline_wall_ms,
        )
        errors = tuple([_attempt_error(error) for error in message.errors])
        return rows.TaskRow(
            task_id=message.task_id,
            spec=spec,
            state=_STATES[message.state],
            why=share(rows.Why(message.reason, message.message)),
            position=message.position,
            ready=share(rows.Readiness(message.ready_seq, message.ready_now_ms, message.ready_wall_ms)),
            entered=share(rows.Instant(message.entered_now_ms, message.entered_wall_ms)),
            due=message.due_ms,
            offer=share(_offer(message.offer)) if message.HasField("offer") else None,
            number=message.number,
            past=share(rows.Past(message.failures, errors, message.checkpoint)),
            waiting=rows.waiting_bits(spec.depends_on, frozenset(message.waiting)),
            result=message.result,
            run_micros=message.run_micros,
            cancel_to=_STATES[message.cancel_to] if message.cancel_to else None,
        )

    def _encode_template(self, template: rows.Template) -> bytes:
        data = self._template_bytes.get(template)
        if data is None:
            if len(self._template_bytes) >= _MOST_SHARED:
                self._template_bytes.clear()
            data = template_message(template).SerializeToString(deterministic=True)
            self._template_bytes[template] = data
        return data

    def _decode_template(self, data: bytes) -> rows.Template:
        template = self._templates.get(data)
        if template is None:
            if len(self._templates) >= _MOST_SHARED:
                self._templates.clear()
            template = template_of(task_pb2.TaskTemplate.FromString(data))
            self._templates[data] = template
        return template

    def _share(self, part: Any) -> Any:
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        # Equal tuples of different types are equal in Python, so the type is part of the key.
        return self._shared.setdefault((type(part), part), part)


def _offer_record(offer: rows.Offer) -> records.TaskRow.Offer:
    return records.TaskRow.Offer(
        epoch_generation=offer.epoch.generation,
        epoch_revision=offer.epoch.revision,
        agent_id=offer.agent_id,
        instance_id=offer.instance_id,
        concurrency=offer.concurrency,
        seq=offer.seq,
        wall_ms=offer.wall,
    )


def _offer(message: records.TaskRow.Offer) -> rows.Offer:
    return rows.Offer(
        epoch=Epoch(message.epoch_generation, message.epoch_revision),
        agent_id=message.agent_id,
        instance_id=message.instance_id,
        concurrency=message.concurrency,
        seq=message.seq,
        wall=message.wall_ms,
    )


def _error_record(error: rows.AttemptError) -> records.TaskRow.Error:
    return records.TaskRow.Error(
        number=error.number,
        agent_id=error.agent_id,
        reason=error.reason,
        message=error.message,
        wall_ms=error.wall,
    )


def _attempt_error(message: records.TaskRow.Error) -> rows.AttemptError:
    return rows.AttemptError(message.number, message.agent_id, message.reason, message.message, message.wall_ms)


def _carried_row(message: records.CarriedRow) -> rows.CarriedRow:
    return rows.CarriedRow(message.task_id, message.system_task_id, message.owner, message.instance_id)


def _submitted(message: records.TasksSubmitted) -> events.TasksSubmitted:
    frame = task_service_pb2.SubmitFrame.FromString(message.frame)
    return events.TasksSubmitted(message.frame, submit_columns(frame), message.accepted)


def _submitted_names(message: records.TasksSubmitted) -> Iterator[str]:
    frame = task_service_pb2.SubmitFrame.FromString(message.frame)
    if frame.plan_id:
        yield f"plans/{frame.plan_id}"
    for index, task_id in enumerate(frame.task_ids):
        if not message.accepted or is_set(message.accepted, index):
            yield f"tasks/{task_id}"


def _applied(message: records.WorkFrameApplied) -> events.WorkFrameApplied:
    columns = work_columns(work_service_pb2.WorkFrame.FromString(message.frame))
    return events.WorkFrameApplied(
        message.agent_id, message.instance_id, message.frame, columns, message.accepted, message.most_released
    )


def _task_list(event: Any) -> records.TaskList:
    return records.TaskList(task_ids=event.task_ids)


def _listed(kind: Callable[[tuple[str, ...]], Any]) -> Callable[[Any], Any]:
    return lambda message: kind(tuple(message.task_ids))


_ENCODERS: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    events.TasksSubmitted: (
        "tasks_submitted",
        lambda event: records.TasksSubmitted(frame=event.frame, accepted=event.accepted),
    ),
    events.TasksCancelled: (
        "tasks_cancelled",
        lambda event: records.TasksCancelled(task_ids=event.task_ids, reason=event.reason),
    ),
    events.PlanCancelAdvanced: (
        "plan_cancel_advanced",
        lambda event: records.PlanCancelAdvanced(
            plan_id=event.plan_id, reason=event.reason, task_ids=event.task_ids, next_index=event.next_index
        ),
    ),
    events.TaskRetried: (
        "task_retried",
        lambda event: records.TaskRetried(task_id=event.task_id, waiting=event.waiting),
    ),
    events.AttemptsOffered: (
        "attempts_offered",
        lambda event: records.AttemptsOffered(
            agent_id=event.agent_id,
            instance_id=event.instance_id,
            concurrency=event.concurrency,
            task_ids=event.task_ids,
            numbers=event.numbers,
        ),
    ),
    events.WorkFrameApplied: (
        "work_frame_applied",
        lambda event: records.WorkFrameApplied(
            agent_id=event.agent_id,
            instance_id=event.instance_id,
            frame=event.frame,
            accepted=event.accepted,
            most_released=event.most_released,
        ),
    ),
    events.AttemptsRevoked: (
        "attempts_revoked",
        lambda event: records.AttemptsRevoked(
            agent_id=event.agent_id, message=event.message, counted=event.counted, uncounted=event.uncounted
        ),
    ),
    events.AttemptsAdopted: ("attempts_adopted", _task_list),
    events.AttemptsTimedOut: ("attempts_timed_out", _task_list),
    events.BackoffsEnded: ("backoffs_ended", _task_list),
    events.DeadlinesPassed: ("deadlines_passed", _task_list),
    events.DependenciesFailed: ("dependencies_failed", _task_list),
    events.DependenciesMet: ("dependencies_met", _task_list),
    events.TasksEvicted: ("tasks_evicted", _task_list),
    events.SystemTaskCarried: ("system_task_carried", lambda event: records.CarriedRow(**event.carried._asdict())),
    events.SystemTasksSettled: ("system_tasks_settled", _task_list),
    events.AdmissionsStarted: ("admissions_started", admission_codec.started_record),
    events.AdmissionsGranted: ("admissions_granted", _task_list),
    events.AdmissionsRefused: ("admissions_refused", _task_list),
    events.AdmissionsEnded: ("admissions_ended", _task_list),
    **intervention_codec.ENCODERS,
    events.PostponementsEnded: ("postponements_ended", _task_list),
    OutboxAcknowledged: ("outbox_acknowledged", outbox_codec.acknowledged_record),
}

_DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "tasks_submitted": _submitted,
    "admissions_started": admission_codec.started_of,
    "admissions_granted": _listed(events.AdmissionsGranted),
    "admissions_refused": _listed(events.AdmissionsRefused),
    "admissions_ended": _listed(events.AdmissionsEnded),
    "system_task_carried": lambda message: events.SystemTaskCarried(_carried_row(message)),
    "system_tasks_settled": _listed(events.SystemTasksSettled),
    **intervention_codec.DECODERS,
    "postponements_ended": _listed(events.PostponementsEnded),
    "outbox_acknowledged": outbox_codec.acknowledged_of,
    "work_frame_applied": _applied,
    "tasks_cancelled": lambda message: events.TasksCancelled(tuple(message.task_ids), message.reason),
    "plan_cancel_advanced": lambda message: events.PlanCancelAdvanced(
        message.plan_id, message.reason, tuple(message.task_ids), message.next_index
    ),
    "task_retried": lambda message: events.TaskRetried(message.task_id, tuple(message.waiting)),
    "attempts_offered": lambda message: events.AttemptsOffered(
        message.agent_id, message.instance_id, message.concurrency, tuple(message.task_ids), tuple(message.numbers)
    ),
    "attempts_revoked": lambda message: events.AttemptsRevoked(
        message.agent_id, message.message, tuple(message.counted), tuple(message.uncounted)
    ),
    "attempts_adopted": _listed(events.AttemptsAdopted),
    "attempts_timed_out": _listed(events.AttemptsTimedOut),
    "backoffs_ended": _listed(events.BackoffsEnded),
    "deadlines_passed": _listed(events.DeadlinesPassed),
    "dependencies_failed": _listed(events.DependenciesFailed),
    "dependencies_met": _listed(events.DependenciesMet),
    "tasks_evicted": _listed(events.TasksEvicted),
}

"""Submissions of every kind become one command, `Submit`, with one frame.

What a unary call names task by task is brought into columns here, with each template once, so that the journal, the
state and the replay know a single form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tercio.api.scheduler.v1 import plan_service_pb2, task_pb2, task_service_pb2
from tercio_common.ids import IdSource
from tercio_scheduler.frames import submit_columns
from tercio_scheduler.state.commands import Submit
from tercio_scheduler.state.rows import SYSTEM_TYPES
from tercio_scheduler.translate.bounds import (
    MAX_FRAME,
    MAX_PARENTS,
    MAX_SUBMISSION,
    PLAN_ID,
    SESSION_ID,
    TASK_ID,
    Bounds,
)
from tercio_scheduler.translate.templates import check_template

_MAX_TEMPLATES: Final = 100
_FLEETS_OWN: Final = "ids that begin with `tercio.` are for the fleet's own tasks"
"""Who took the id of a system task would keep it from its agent."""


def submit_of_tasks(request: task_service_pb2.SubmitTasksRequest, *, ids: IdSource) -> Submit:
    """Return the command of SubmitTasks, with an id for every task.

    Raises:
        Refusal: INVALID_ARGUMENT, PAYLOAD_TOO_LARGE.
    """
    found = Bounds()
    _check_specs(found, request.tasks)
    found.raise_if_any()
    return _whole(_frame_of(request.tasks, ids=ids), validate_only=request.validate_only)


def submit_of_plan(request: plan_service_pb2.CreatePlanRequest, *, ids: IdSource) -> Submit:
    """Return the command of CreatePlan, with an id for the plan and every task.

    Raises:
        Refusal: INVALID_ARGUMENT, PAYLOAD_TOO_LARGE.
    """
    found = Bounds()
    if request.plan_id:
        found.check_pattern("plan_id", request.plan_id, PLAN_ID)
    _check_specs(found, request.tasks)
    found.raise_if_any()
    frame = _frame_of(request.tasks, ids=ids)
    frame.plan_id = request.plan_id or ids.new()
    return _whole(frame, validate_only=request.validate_only)


def submit_of_frame(frame: task_service_pb2.SubmitFrame) -> Submit:
    """Return the command of one frame of SubmitStream, each task judged on its own.

    Raises:
        Refusal: INVALID_ARGUMENT, PAYLOAD_TOO_LARGE; the whole frame is refused.
    """
    found = Bounds()
    size = frame.ByteSize()
    found.check("frame", size <= MAX_FRAME, f"must have at most {MAX_FRAME} bytes, has {size}")
    found.raise_if_any()
    if frame.plan_id:
        frame.ClearField("plan_id")
    _check_frame(found, frame)
    found.raise_if_any()
    return Submit(columns=submit_columns(frame), frame=frame.SerializeToString(), whole=False)


def check_stream_request(request: task_service_pb2.SubmitStreamRequest, *, session_id: str) -> None:
    """Check one message of SubmitStream but for its frame; `session_id` is the stream's, empty before the first.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    found = Bounds()
    if session_id:
        found.check("session_id", request.session_id == session_id, "must be the same on every message of the stream")
    else:
        found.check_pattern("session_id", request.session_id, SESSION_ID)
    has_frame = request.HasField("frame")
    found.check("frame_number", has_frame == (request.frame_number > 0), "must be set with a frame and only with one")
    found.check_length("follow_task_ids", request.follow_task_ids, most=MAX_SUBMISSION, unit="tasks")
    found.check_task_ids("follow_task_ids", request.follow_task_ids[:MAX_SUBMISSION])
    found.raise_if_any()


def _whole(frame: task_service_pb2.SubmitFrame, *, validate_only: bool) -> Submit:
    return Submit(
        columns=submit_columns(frame), frame=frame.SerializeToString(), whole=True, validate_only=validate_only
    )


def _check_specs(found: Bounds, specs: Sequence[task_pb2.TaskSpec]) -> None:
    if not found.check_length("tasks", specs, least=1, most=MAX_SUBMISSION, unit="tasks"):
        return
    checked: set[bytes] = set()
    for index, spec in enumerate(specs):
        field = f"tasks[{index}]"
        if spec.task_id:
            found.check_pattern(f"{field}.task_id", spec.task_id, TASK_ID)
            found.check(f"{field}.task_id", not spec.task_id.startswith(SYSTEM_TYPES), _FLEETS_OWN)
        template = spec.template.SerializeToString(deterministic=True)
        if template not in checked:  # what many share is reported once, where it first occurs
            checked.add(template)
            check_template(found, f"{field}.template", spec.template)
        found.check_body(f"{field}.payload", spec.payload)
        if spec.depends_on:
            _check_parents(found, f"{field}.depends_on", spec.depends_on, task_id=spec.task_id)
    found.check_unique("tasks", [spec.task_id for spec in specs if spec.task_id])


def _check_parents(found: Bounds, field: str, parents: Sequence[str], *, task_id: str) -> None:
    if found.check_length(field, parents, most=MAX_PARENTS, unit="tasks"):
        found.check_task_ids(field, parents)
        found.check(field, not task_id or task_id not in parents, "must not name the task itself")


def _frame_of(specs: Sequence[task_pb2.TaskSpec], *, ids: IdSource) -> task_service_pb2.SubmitFrame:
    places: dict[bytes, int] = {}
    frame = task_service_pb2.SubmitFrame()
    for spec in specs:
        template = spec.template.SerializeToString(deterministic=True)
        place = places.get(template)
        if place is None:
            place = places[template] = len(places)
            frame.templates.append(spec.template)
        frame.template_indexes.append(place)
        frame.task_ids.append(spec.task_id or ids.new())
        frame.payloads.append(spec.payload)
    if len(places) == 1:
        del frame.template_indexes[:]
    if not any(frame.payloads):
        del frame.payloads[:]
    frame.dependencies.extend(
        task_service_pb2.SubmitFrame.Dependencies(index=index, depends_on=spec.depends_on)
        for index, spec in enumerate(specs)
        if spec.depends_on
    )
    return frame


def _check_frame(found: Bounds, frame: task_service_pb2.SubmitFrame) -> None:
    task_ids = frame.task_ids[:]
    count = len(task_ids)
    found.check_length("frame.templates", frame.templates, least=1, most=_MAX_TEMPLATES, unit="templates")
    if not found.check_length("frame.task_ids", task_ids, least=1, most=MAX_SUBMISSION, unit="tasks"):
        return
    for index, template in enumerate(frame.templates[:_MAX_TEMPLATES]):
        check_template(found, f"frame.templates[{index}]", template)
    found.check_task_ids("frame.task_ids", task_ids)
    for index, task_id in enumerate(task_ids):
        if task_id.startswith(SYSTEM_TYPES):
            found.add(f"frame.task_ids[{index}]", _FLEETS_OWN)
    found.check_unique("frame.task_ids", task_ids)
    payloads = frame.payloads[:]
    found.check_column("frame.payloads", payloads, count=count, of="task_ids")
    found.check_bodies("frame.payloads", payloads)
    indexes = frame.template_indexes[:]
    found.check_column("frame.template_indexes", indexes, count=count, of="task_ids")
    found.check_indexes("frame.template_indexes", indexes, count=len(frame.templates), of="templates")
    if frame.dependencies:
        _check_dependencies(found, frame.dependencies, task_ids)


def _check_dependencies(
    found: Bounds, entries: Sequence[task_service_pb2.SubmitFrame.Dependencies], task_ids: Sequence[str]
) -> None:
    field = "frame.dependencies"
    indexes = [entry.index for entry in entries]
    found.check_unique(field, indexes)
    if not found.check_indexes(field, indexes, count=len(task_ids), of="task_ids"):
        return
    for place, entry in enumerate(entries):
        _check_parents(found, f"{field}[{place}].depends_on", entry.depends_on, task_id=task_ids[entry.index])

"""Accepting tasks: each is judged, then the frame is one event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import capacity, events, plans, transitions
from tercio_scheduler.state.columns import SubmitColumns, bitmap, is_set
from tercio_scheduler.state.commands import RefusedTask, Submit, Submitted
from tercio_scheduler.state.dependencies import find_cycles, unfinished_parents
from tercio_scheduler.state.rows import (
    NEVER_READY,
    NO_PAST,
    NO_REASON,
    Instant,
    Readiness,
    State,
    TaskSpec,
    Template,
    task_row,
    task_spec,
)
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables


class _Frame(NamedTuple):
    """What is known about the tasks of one frame while they are judged."""

    columns: SubmitColumns
    known: set[int]
    refused: dict[int, Refusal]


def decide(tables: SchedulerTables, command: Submit, at: Moment, session: SchedulerSession) -> Decision:
    """Accept the frame, or what can be accepted of it."""
    columns = command.columns
    frame = _Frame(columns, set(), {})
    _judge_known(tables, frame)
    if columns.plan_id and (plan := tables.plans.get(columns.plan_id)) is not None:
        return plans.decide_known(plan, columns, refused=frame.refused)
    if len(frame.known) + len(frame.refused) < len(columns.task_ids):
        _judge_templates(frame, at, session)
        if columns.dependencies:
            _judge_dependencies(tables, frame)
        capacity.judge(tables, columns, known=frame.known, refused=frame.refused)
    if frame.refused and (command.whole or columns.plan_id):
        raise next(iter(frame.refused.values()))  # the first found: causes come before what follows from them
    return _accept(command, frame, at)


def apply(tables: SchedulerTables, event: events.TasksSubmitted, at: Moment) -> None:
    """Enter the accepted tasks."""
    columns, accepted = event.columns, event.accepted
    templates = [tables.share_template(template) for template in columns.templates]
    deadlines = [deadline_of(template, at) for template in templates]
    queued = [transitions.queued(template) for template in templates]
    payloads, indexes, dependencies = columns.payloads, columns.template_indexes, columns.dependencies
    instant, readiness = Instant(at.now, at.wall), Readiness(at.seq, at.now, at.wall)
    order = tables.take_positions(at, len(columns.task_ids)) - 1
    put, plan_id, submitter = tables.tasks.put, columns.plan_id, at.principal
    waiting = 0
    parents: tuple[str, ...] = ()
    for index, task_id in enumerate(columns.task_ids):
        order += 1
        if accepted and not is_set(accepted, index):
            continue
        which = indexes[index] if indexes else 0
        if dependencies:
            parents = dependencies.get(index, ())
            waiting = unfinished_parents(tables, parents)
        payload = payloads[index] if payloads else b""
        spec = task_spec((templates[which], payload, parents, plan_id, submitter, instant, order, deadlines[which]))
        blocked = bool(waiting)
        put(
            task_row(
                (
                    task_id,
                    spec,
                    State.BLOCKED if blocked else queued[which],
                    NO_REASON,
                    0 if blocked else order,
                    NEVER_READY if blocked else readiness,
                    instant,
                    0,
                    None,
                    0,
                    NO_PAST,
                    waiting,
                    b"",
                    0,
                    None,
                )
            )
        )
    if plan_id:
        tables.plans.put(plans.new_plan(columns, at))


def deadline_of(template: Template, at: Moment) -> int:
    """Return the wall time by which tasks accepted now must be finished; 0 for none."""
    return at.wall + template.deadline_in_ms if template.deadline_in_ms else template.deadline_wall


def _judge_known(tables: SchedulerTables, frame: _Frame) -> None:
    get = tables.tasks.get
    for index, task_id in enumerate(frame.columns.task_ids):
        row = get(task_id)
        if row is None:
            continue
        if _same_content(row.spec, frame.columns, index):
            frame.known.add(index)
        else:
            frame.refused[index] = Refusal(
                "TASK_ID_REUSED",
                f"task {task_id!r} is known with other content; choose another id",
                metadata={"taskId": task_id},
            )


def _same_content(spec: TaskSpec, columns: SubmitColumns, index: int) -> bool:
    return (
        spec.template == columns.templates[columns.template_indexes[index] if columns.template_indexes else 0]
        and spec.payload == (columns.payloads[index] if columns.payloads else b"")
        and spec.depends_on == columns.dependencies.get(index, ())
        and spec.plan_id == columns.plan_id
    )


def _judge_templates(frame: _Frame, at: Moment, session: SchedulerSession) -> None:
    columns = frame.columns
    verdicts = [_template_refusal(template, at, session) for template in columns.templates]
    if not any(verdicts):
        return
    for index, which in enumerate(columns.template_indexes or [0] * len(columns.task_ids)):
        refusal = verdicts[which]
        if refusal is not None and index not in frame.known:
            frame.refused.setdefault(index, refusal)


def _template_refusal(template: Template, at: Moment, session: SchedulerSession) -> Refusal | None:
    if template.deadline_wall and template.deadline_wall <= at.wall:
        late = at.wall - template.deadline_wall
        return Refusal("DEADLINE_PASSED", f"the deadline passed {late} ms ago; submit with a later one")
    if template.require_capable_agent:
        return capacity.capability_refusal(template.requirement, session)
    return None


def _judge_dependencies(tables: SchedulerTables, frame: _Frame) -> None:
    columns, refused = frame.columns, frame.refused
    index_of = {task_id: index for index, task_id in enumerate(columns.task_ids)}
    for cycle in find_cycles(columns.task_ids, columns.dependencies):
        refusal = Refusal(
            "DEPENDENCY_CYCLE",
            f"tasks depend on each other: {' → '.join(cycle)}; remove one of these dependencies",
            metadata={"cycle": " → ".join(cycle)},
        )
        for task_id in cycle:
            refused.setdefault(index_of[task_id], refusal)
    _judge_parents(tables, frame)


def _judge_parents(tables: SchedulerTables, frame: _Frame) -> None:
    columns, known, refused = frame.columns, frame.known, frame.refused
    index_of = {task_id: index for index, task_id in enumerate(columns.task_ids)}
    children: dict[int, list[int]] = {}
    spread: list[int] = []
    for index, parents in columns.dependencies.items():
        if index in known or index in refused:
            continue
        for parent in parents:
            place = index_of.get(parent)
            if place is not None:
                children.setdefault(place, []).append(index)
            elif parent not in tables.tasks:
                refused[index] = _unknown_parent(columns.task_ids[index], parent)
                break
    spread.extend(index for index in refused if columns.task_ids[index] not in tables.tasks)
    while spread:
        parent_index = spread.pop()
        for index in children.get(parent_index, ()):
            if index not in refused:
                refused[index] = _unknown_parent(columns.task_ids[index], columns.task_ids[parent_index])
                spread.append(index)


def _unknown_parent(task_id: str, parent: str) -> Refusal:
    return Refusal(
        "DEPENDENCY_UNKNOWN",
        f"task {task_id!r} depends on {parent!r}, which is not known; submit that one first or together",
        metadata={"taskId": task_id, "parent": parent},
    )


def _accept(command: Submit, frame: _Frame, at: Moment) -> Decision:
    columns, known, refused = frame.columns, frame.known, frame.refused
    plan = plans.new_plan(columns, at) if columns.plan_id else None
    reply = Submitted(_refused_tasks(columns.task_ids, refused), len(known), plan)
    if command.validate_only or len(known) + len(refused) == len(columns.task_ids):
        return Decision((), reply)
    accepted = b""
    if known or refused:
        accepted = bitmap([index not in known and index not in refused for index in range(len(columns.task_ids))])
    return Decision((events.TasksSubmitted(command.frame, columns, accepted),), reply, creates_work=True)


def _refused_tasks(task_ids: Sequence[str], refused: dict[int, Refusal]) -> tuple[RefusedTask, ...]:
    return tuple(
        [
            RefusedTask(index, task_ids[index], refused[index].reason, refused[index].message)
            for index in sorted(refused)
        ]
    )

"""What agents report: attempts that started, ended or left a checkpoint.

A frame is one event. Only the task's present attempt counts; what is said of any other changes nothing and is answered
as stale. So each task's result is recorded once. No two attempts bear the same name, also when an id is used anew after
its task was evicted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import events, tasks, transitions
from tercio_scheduler.state.columns import AttemptColumns, Failure, bitmap, is_set
from tercio_scheduler.state.commands import AttemptKey, Reported, ReportWork
from tercio_scheduler.state.rows import LIVE_ATTEMPT, Instant, Outcome, State, TaskRow
from tercio_scheduler.state.tables import SchedulerTables

_UNEXPLAINED: Final = Failure("HANDLER_ERROR", "the agent gave no reason")
_STOPPED_UNASKED: Final = Failure("HANDLER_ERROR", "the agent stopped the attempt although nobody had asked it to")
_RETURNED_LATE: Final = Failure("HANDLER_ERROR", "the agent returned the attempt although it had begun it")
_NO_BOUND: Final = 1 << 62
_NOTHING_STALE: Final = Reported()


def is_present(row: TaskRow | None, *, agent_id: str, instance_id: bytes, key: AttemptKey) -> bool:
    """Tell whether that process holds this attempt, as far as the tables know."""
    if row is None or row.number != key.number or row.state not in LIVE_ATTEMPT:
        return False
    offer = row.offer
    return (
        offer is not None
        and offer.epoch == key.epoch
        and offer.agent_id == agent_id
        and offer.instance_id == instance_id
    )


def decide(tables: SchedulerTables, command: ReportWork, _at: Moment) -> Decision:
    """Take what is said of present attempts."""
    columns = command.columns
    stale: list[AttemptKey] = []
    flags = _judge(tables, command, columns.started, stale, wanted=_is_offered)
    flags += _judge(tables, command, columns.ended, stale, wanted=None)
    flags += _judge(tables, command, columns.checkpointed, stale, wanted=None)
    reply = Reported(tuple(stale)) if stale else _NOTHING_STALE
    if True not in flags:
        return Decision((), reply)
    event = events.WorkFrameApplied(
        command.agent_id, command.instance_id, command.frame, columns, b"" if all(flags) else bitmap(flags)
    )
    return Decision((event,), reply)


def apply(tables: SchedulerTables, event: events.WorkFrameApplied, at: Moment) -> None:
    """Carry out the report. Checkpoints come before ends, so that the next attempt is given them."""
    columns, accepted = event.columns, event.accepted
    tables.bound_releases(event.most_released or _NO_BOUND)
    get, put = tables.tasks.__getitem__, tables.tasks.put
    entered = Instant(at.now, at.wall)
    for index, task_id in enumerate(columns.started.task_ids):
        if not accepted or is_set(accepted, index):
            put(transitions.started(get(task_id), entered=entered))
    ended_from = len(columns.started.task_ids)
    checkpoints_from = ended_from + len(columns.ended.task_ids)
    for index, task_id in enumerate(columns.checkpointed.task_ids):
        if not accepted or is_set(accepted, checkpoints_from + index):
            put(transitions.checkpointed(get(task_id), columns.checkpoints.get(index, b"")))
    _apply_ended(tables, event, at, entered=entered, offset=ended_from)


def _is_offered(row: TaskRow) -> bool:
    return row.state is State.OFFERED


def _judge(
    tables: SchedulerTables,
    command: ReportWork,
    columns: AttemptColumns,
    stale: list[AttemptKey],
    *,
    wanted: Callable[[TaskRow], bool] | None,
) -> list[bool]:
    """Return a flag for each attempt: whether its report has an effect. Attempts that are not present are `stale`."""
    flags = []
    get, agent_id, instance_id = tables.tasks.get, command.agent_id, command.instance_id
    numbers = columns.numbers
    first = columns.epochs[0] if columns.epochs else None
    good: object = None
    for index, task_id in enumerate(columns.task_ids):
        row = get(task_id)
        epoch = columns.epoch(index) if columns.epoch_indexes else first
        if row is not None and row.number == numbers[index] and row.state in LIVE_ATTEMPT:
            offer = row.offer
            # Attempts of one frame often share the offer that brought them: then one comparison does for all.
            if offer is not good and offer is not None and not columns.epoch_indexes:
                same = offer.agent_id == agent_id and offer.instance_id == instance_id and offer.epoch == epoch
                good = offer if same else good
            if offer is good or (
                offer is not None
                and offer.epoch == epoch
                and offer.agent_id == agent_id
                and offer.instance_id == instance_id
            ):
                flags.append(wanted is None or wanted(row))
                continue
        flags.append(False)
        stale.append(AttemptKey(task_id, columns.epoch(index), numbers[index]))
    if len(set(columns.task_ids)) != len(flags):
        _drop_repetitions(columns, flags)
    return flags


def _drop_repetitions(columns: AttemptColumns, flags: list[bool]) -> None:
    seen: set[str] = set()
    for index, task_id in enumerate(columns.task_ids):
        if flags[index]:
            flags[index] = task_id not in seen
            seen.add(task_id)


def _apply_ended(
    tables: SchedulerTables, event: events.WorkFrameApplied, at: Moment, *, entered: Instant, offset: int
) -> None:
    columns, accepted = event.columns, event.accepted
    task_ids, outcomes, results, run_micros = (
        columns.ended.task_ids,
        columns.outcomes,
        columns.results,
        columns.run_micros,
    )
    get, put, children = tables.tasks.__getitem__, tables.tasks.put, tables.index.children
    position = tables.take_positions(at, len(task_ids)) - 1
    for index, task_id in enumerate(task_ids):
        position += 1
        if accepted and not is_set(accepted, offset + index):
            continue
        row = get(task_id)
        micros = run_micros[index] if run_micros else 0
        outcome = outcomes[index] if outcomes else Outcome.SUCCEEDED
        if outcome is Outcome.SUCCEEDED:
            result = results[index] if results else b""
            new = transitions.succeeded(row, entered=entered, position=position, result=result, run_micros=micros)
        else:
            failure = columns.failures.get(index, _UNEXPLAINED)
            new = _unsuccessful(row, outcome, failure, at, position=position, run_micros=micros)
        put(new)
        if row.spec.plan_id or task_id in children:
            tasks.follow(tables, row, new, at)


def _unsuccessful(
    row: TaskRow, outcome: Outcome, failure: Failure, at: Moment, *, position: int, run_micros: int
) -> TaskRow:
    if row.state is State.CANCELLING:
        return transitions.cancelled_attempt(row, at, position=position)._replace(run_micros=run_micros)
    if outcome is Outcome.RETURNED and row.state is State.OFFERED:
        return transitions.put_back(row, at)
    if outcome is Outcome.RETURNED:
        failure = _RETURNED_LATE
    if outcome is Outcome.CANCELLED:
        failure = _STOPPED_UNASKED
    return transitions.failed(row, failure, at, position=position, run_micros=run_micros)

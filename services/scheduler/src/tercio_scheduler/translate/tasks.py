"""Tasks for readers: rows as messages, filters, cursors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from google.protobuf.duration_pb2 import Duration

from tercio.api.scheduler.v1 import attempt_pb2, task_pb2, task_service_pb2
from tercio_common.errors import Refusal
from tercio_common.filtering.grammar import FilterError
from tercio_common.filtering.predicates import EVERYTHING, Filter
from tercio_common.ids import decode_cursor, encode_cursor
from tercio_scheduler.frames import template_message, timestamp
from tercio_scheduler.state.expressions import compile_expression
from tercio_scheduler.state.rows import LIVE_ATTEMPT, TERMINAL, State, TaskRow
from tercio_scheduler.state.views import TaskFilter
from tercio_scheduler.translate.bounds import PLAN_ID, TASK_ID, Bounds
from tercio_scheduler.translate.templates import MAX_LABELS
from tercio_scheduler.translate.work import epoch_message

SHARD: Final = 0
TASK_PAGE: Final = "tasks"
TASK_CURSOR: Final = "tasks-at"
PLAN_PAGE: Final = "plans"
_DEFAULT_PAGE: Final = 100
_MAX_PAGE: Final = 1000
_STATES: Final = {int(state): state for state in State}
_LAST_POSITION: Final = 1 << 63


def task_message(row: TaskRow, *, progress: Mapping[str, int], include_payload: bool = False) -> task_pb2.Task:
    """Return a task as its readers see it."""
    spec, past = row.spec, row.past
    task = task_pb2.Task(
        task_id=row.task_id,
        template=template_message(spec.template),
        depends_on=spec.depends_on,
        plan_id=spec.plan_id,
        state=int(row.state),  # type: ignore[arg-type]  # the numbers are the contract's
        state_reason=row.why.message or row.why.reason,
        result=row.result,
        failures=past.failures,
        submit_time=timestamp(spec.accepted.wall),
        submitter=spec.submitter,
    )
    if include_payload:
        task.payload = spec.payload
    if row.state in LIVE_ATTEMPT:
        task.progress_percent = progress.get(row.task_id, 0)
    for error in past.errors:
        task.errors.add(
            number=error.number,
            agent_id=error.agent_id,
            reason=error.reason,
            message=error.message,
            time=timestamp(error.wall),
        )
    _add_times(task, row)
    return task


def _add_times(task: task_pb2.Task, row: TaskRow) -> None:
    offer = row.offer
    if offer is not None:
        task.attempt.CopyFrom(
            attempt_pb2.Attempt(epoch=epoch_message(offer.epoch), number=row.number, agent_id=offer.agent_id)
        )
        task.offer_time.CopyFrom(timestamp(offer.wall))
    if row.ready.seq:
        task.ready_time.CopyFrom(timestamp(row.ready.wall))
    if row.state in TERMINAL:
        task.end_time.CopyFrom(timestamp(row.entered.wall))
    if row.spec.deadline:
        task.deadline.CopyFrom(timestamp(row.spec.deadline))
    if row.run_micros:
        task.run_duration.CopyFrom(
            Duration(seconds=row.run_micros // 1_000_000, nanos=row.run_micros % 1_000_000 * 1000)
        )


def task_id_of(task_id: str, found: Bounds) -> str:
    """Check the id of one task and return it."""
    found.check_pattern("task_id", task_id, TASK_ID)
    return task_id


def filter_of(message: task_service_pb2.TaskFilter, found: Bounds) -> TaskFilter:
    """Check every field of a filter and return it."""
    for index, state in enumerate(message.states):
        found.check_one_of(f"filter.states[{index}]", state, _STATES)
    found.check_id("filter.task_type", message.task_type, optional=True)
    if message.plan_id:
        found.check_pattern("filter.plan_id", message.plan_id, PLAN_ID)
    found.check_id("filter.agent_id", message.agent_id, optional=True)
    found.check_few_labels("filter.labels", message.labels, most=MAX_LABELS)
    return TaskFilter(
        states=frozenset(_STATES[state] for state in message.states if state in _STATES),
        task_type=message.task_type,
        plan_id=message.plan_id,
        agent_id=message.agent_id,
        labels=tuple(message.labels.items()),
        expression=_expression(message.expression, found),
    )


def _expression(text: str, found: Bounds) -> Filter[TaskRow]:
    try:
        return compile_expression(text)
    except FilterError as error:
        found.add("filter.expression", str(error))
        return EVERYTHING


def page_size_of(page_size: int, found: Bounds) -> int:
    """Return how many entries a page may have."""
    found.check_range("page_size", page_size, least=0, most=_MAX_PAGE)
    return page_size or _DEFAULT_PAGE


def page_token(kind: str, after: str, *, filter_sum: int = 0) -> str:
    """Make the token of the page after `after`, good for the same filter only."""
    return encode_cursor(kind, shard=SHARD, position=f"{filter_sum}/{after}")


def read_page(kind: str, token: str, *, filter_sum: int = 0) -> str:
    """Return after what the page begins; empty for the first page.

    Raises:
        Refusal: CURSOR_INVALID.
    """
    if not token:
        return ""
    made_for, _, after = _position(kind, token).partition("/")
    if made_for != str(filter_sum):
        raise _invalid("it was made for another filter")
    return after


def number_of(text: str) -> int:
    """Return a number that `page_token` was given.

    Raises:
        Refusal: CURSOR_INVALID.
    """
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not 0 <= number < _LAST_POSITION:
        raise _invalid("its position is not a number")
    return number


def watch_cursor(seq: int) -> str:
    """Return the cursor after record `seq`."""
    return encode_cursor(TASK_CURSOR, shard=SHARD, position=str(seq))


def seq_of(cursor: str) -> int | None:
    """Return the record after which to watch; None for the present.

    Raises:
        Refusal: CURSOR_INVALID.
    """
    return number_of(_position(TASK_CURSOR, cursor)) if cursor else None


def _position(kind: str, text: str) -> str:
    try:
        shard, position = decode_cursor(kind, text)
    except ValueError as error:
        raise _invalid(str(error)) from None
    if shard != SHARD:
        raise _invalid("it is of another shard")
    return position


def _invalid(why: str) -> Refusal:
    return Refusal("CURSOR_INVALID", f"not a cursor or page token of this method: {why}; list again")

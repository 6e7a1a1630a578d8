"""Every step that a task can take, as pure functions from a row to the next.

`apply` writes what they return and `decide` may use them to say what a reply will show.
"""

from __future__ import annotations

from typing import Final

from tercio_common.machine.protocol import Moment
from tercio_scheduler.state.columns import Failure
from tercio_scheduler.state.retries import MOST_ERRORS, backoff_ms
from tercio_scheduler.state.rows import (
    LIVE_ATTEMPT,
    NO_PAST,
    NO_REASON,
    AttemptError,
    Instant,
    Offer,
    Past,
    Readiness,
    State,
    TaskRow,
    Template,
    Why,
    task_row,
    waiting_bits,
)

_FINISHED_BY_DEADLINE: Final = Why("DEADLINE_PASSED", "the task was not finished by its deadline")
_BACKOFF: Final = "waits after a failure"


def instant(at: Moment) -> Instant:
    """Return the moment on both clocks."""
    return Instant(at.now, at.wall)


def queued(template: Template) -> State:
    """Return where a task goes that nothing keeps from running but what it needs."""
    return State.ADMITTING if template.holds else State.READY


def ready(row: TaskRow, at: Moment, *, position: int) -> TaskRow:
    """Put the task at the end of its queue."""
    return row._replace(
        state=queued(row.spec.template),
        why=NO_REASON,
        position=position,
        ready=Readiness(at.seq, at.now, at.wall),
        entered=Instant(at.now, at.wall),
        due=0,
        waiting=0,
        cancel_to=None,
    )


def put_back(row: TaskRow, at: Moment) -> TaskRow:
    """Put a task whose attempt did not count where it was in its queue, which is at the front."""
    return row._replace(
        state=queued(row.spec.template),
        why=NO_REASON,
        ready=Readiness(at.seq, row.ready.now, row.ready.wall),
        entered=Instant(at.now, at.wall),
        due=0,
        cancel_to=None,
    )


def admitted(row: TaskRow, at: Moment) -> TaskRow:
    """Let the task be offered: its next attempt holds what it needs."""
    return row._replace(
        state=State.READY,
        ready=Readiness(at.seq, row.ready.now, row.ready.wall),
        entered=Instant(at.now, at.wall),
    )


def offered(row: TaskRow, offer: Offer, *, entered: Instant, number: int) -> TaskRow:
    """Offer the next attempt. On the hot path, so the row is built in one step."""
    return task_row(
        (
            row.task_id,
            row.spec,
            State.OFFERED,
            NO_REASON,
            row.position,
            row.ready,
            entered,
            0,
            offer,
            number,
            row.past,
            0,
            b"",
            0,
            None,
        )
    )


def started(row: TaskRow, *, entered: Instant) -> TaskRow:
    """Note that an offered attempt runs; from here its timeout counts."""
    due = entered.now + row.spec.template.attempt_timeout_ms
    return row._replace(state=State.RUNNING, entered=entered, due=due)


def checkpointed(row: TaskRow, checkpoint: bytes) -> TaskRow:
    """Keep a checkpoint for the next attempt."""
    return row._replace(past=row.past._replace(checkpoint=checkpoint))


def succeeded(row: TaskRow, *, entered: Instant, position: int, result: bytes, run_micros: int) -> TaskRow:
    """Record the result. On the hot path, so the row is built in one step."""
    past = row.past
    return task_row(
        (
            row.task_id,
            row.spec,
            State.SUCCEEDED,
            NO_REASON,
            position,
            row.ready,
            entered,
            0,
            row.offer,
            row.number,
            past if past is NO_PAST else Past(past.failures, past.errors, b""),
            0,
            result,
            run_micros,
            None,
        )
    )


def failed(row: TaskRow, failure: Failure, at: Moment, *, position: int, run_micros: int = 0) -> TaskRow:
    """Count a failure: the task waits and is tried again, or is a dead letter."""
    past, template = row.past, row.spec.template
    failures = past.failures + 1
    agent_id = row.offer.agent_id if row.offer is not None else ""
    error = AttemptError(row.number, agent_id, failure.reason, failure.message, at.wall)
    row = row._replace(
        past=Past(failures, (*past.errors, error)[-MOST_ERRORS:], past.checkpoint),
        entered=Instant(at.now, at.wall),
        run_micros=run_micros,
        cancel_to=None,
    )
    if failure.permanent or failures >= template.max_attempts:
        why = Why(failure.reason, failure.message)
        return row._replace(state=State.DEAD_LETTER, why=why, position=position, due=0)
    wait = backoff_ms(row.task_id, failures=failures, template=template)
    return row._replace(state=State.BACKOFF, why=Why(failure.reason, _BACKOFF), due=at.now + wait)


def ended(row: TaskRow, state: State, why: Why, at: Moment, *, position: int) -> TaskRow:
    """End the task without success."""
    return row._replace(
        state=state,
        why=why,
        position=position,
        entered=Instant(at.now, at.wall),
        due=0,
        cancel_to=None,
    )


def cancelled_attempt(row: TaskRow, at: Moment, *, position: int) -> TaskRow:
    """End a task that was CANCELLING, in the state that was wanted."""
    return ended(row, row.cancel_to or State.CANCELLED, row.why, at, position=position)


def stopped(row: TaskRow, state: State, why: Why, at: Moment, *, position: int) -> TaskRow:
    """End the task in that state: at once, or by way of CANCELLING while an agent holds an attempt."""
    if row.state not in LIVE_ATTEMPT:
        return ended(row, state, why, at, position=position)
    # An agent that renews but never answers must not hold the task for ever: it gets as long as an attempt may take.
    due = at.now + row.spec.template.attempt_timeout_ms
    return row._replace(state=State.CANCELLING, why=why, entered=Instant(at.now, at.wall), due=due, cancel_to=state)


def cancelled(row: TaskRow, reason: str, at: Moment, *, position: int) -> TaskRow:
    """Carry out a caller's cancellation."""
    return stopped(row, State.CANCELLED, Why("CANCELLED", reason or "cancelled by a caller"), at, position=position)


def past_deadline(row: TaskRow, at: Moment, *, position: int) -> TaskRow:
    """Carry out a deadline."""
    return stopped(row, State.FAILED, _FINISHED_BY_DEADLINE, at, position=position)


def retried(row: TaskRow, at: Moment, *, position: int, waiting: tuple[str, ...]) -> TaskRow:
    """Start the task anew: failures and checkpoint are forgotten, errors stay, a relative deadline counts again."""
    spec = row.spec
    if spec.template.deadline_in_ms:
        spec = spec._replace(deadline=at.wall + spec.template.deadline_in_ms)
    row = row._replace(spec=spec, past=Past(0, row.past.errors, b"") if row.past.errors else NO_PAST)
    if not waiting:
        return ready(row, at, position=position)
    return row._replace(
        state=State.BLOCKED,
        why=NO_REASON,
        position=0,
        entered=Instant(at.now, at.wall),
        waiting=waiting_bits(spec.depends_on, waiting),
    )

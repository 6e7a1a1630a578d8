"""Which attempts an agent holds: adopting them after a reconnect, and taking them away.

An attempt that was started counts as a failure when it is taken away. So do an agent's oldest ones, as many as it runs
at once: a task that kills its agent before it could report a start must not be tried for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import events, tasks, transitions
from tercio_scheduler.state.columns import AttemptColumns, Failure
from tercio_scheduler.state.commands import AttachAgent, Attached, AttemptKey
from tercio_scheduler.state.reports import is_present
from tercio_scheduler.state.rows import State, TaskRow
from tercio_scheduler.state.tables import SchedulerTables

_TIMED_OUT: Final = "ATTEMPT_TIMEOUT"
_LOST: Final = "AGENT_LOST"
_STEP: Final = 1_000
"""Attempts that one Hello changes in one record: a large agent holds more than fit into a commit."""


def decide_attach(tables: SchedulerTables, command: AttachAgent, _at: Moment) -> Decision:
    """Compare what the agent lists with what the tables say."""
    cancel: list[AttemptKey] = []
    started = dict(_adopted(tables, command, command.started, cancel))
    offered = dict(_adopted(tables, command, command.offered, cancel))
    held = held_by(tables, command.agent_id)
    former = [row for row in held if row.offer is None or row.offer.instance_id != command.instance_id]
    unlisted = [
        row
        for row in held
        if row.offer is not None
        and row.offer.instance_id == command.instance_id
        and row.task_id not in started
        and row.task_id not in offered
    ]
    running = [row.task_id for row in started.values() if row.state is State.OFFERED]
    found: list[events.Event] = []
    room = _STEP
    if former:
        found.append(revoke(command.agent_id, former, message=f"agent {command.agent_id} was started anew", limit=room))
        room -= min(room, len(former))
    if unlisted and room:
        found.append(_forgotten(command.agent_id, unlisted[:room]))
        room -= min(room, len(unlisted))
    if running and room:
        found.append(events.AttemptsAdopted(tuple(running[:room])))
    more = len(former) + len(unlisted) + len(running) > _STEP
    return Decision(found, Attached(tuple(cancel), more))


def held_by(tables: SchedulerTables, agent_id: str) -> list[TaskRow]:
    """Return the tasks whose attempt the agent holds, the oldest offer first."""
    rows = [tables.tasks[task_id] for task_id in tables.index.by_agent.get(agent_id, ())]
    return sorted(rows, key=_age)


def revoke(agent_id: str, held: list[TaskRow], *, message: str, limit: int) -> events.AttemptsRevoked:
    """Return the event that takes attempts from an agent that died: the newest `limit` of these, the oldest first.

    Which ones count depends on all that are held. The newest go first, so those that are left count as before.
    """
    counted: list[str] = []
    uncounted: list[str] = []
    first = max(0, len(held) - limit)
    for place, row in enumerate(held[first:], start=first):
        concurrency = row.offer.concurrency if row.offer is not None else 0
        counts = place < concurrency or row.state is not State.OFFERED
        (counted if counts else uncounted).append(row.task_id)
    return events.AttemptsRevoked(agent_id, message, tuple(counted), tuple(uncounted))


def ungranted(agent_id: str, rows: list[TaskRow]) -> events.AttemptsRevoked:
    """Return the event that takes attempts away whose resources were released without them."""
    counted = tuple([row.task_id for row in rows if row.state is not State.OFFERED])
    uncounted = tuple([row.task_id for row in rows if row.state is State.OFFERED])
    return events.AttemptsRevoked(agent_id, "the resources of the attempt were released", counted, uncounted)


def _forgotten(agent_id: str, unlisted: list[TaskRow]) -> events.AttemptsRevoked:
    counted = tuple([row.task_id for row in unlisted if row.state is not State.OFFERED])
    uncounted = tuple([row.task_id for row in unlisted if row.state is State.OFFERED])
    return events.AttemptsRevoked(agent_id, f"agent {agent_id} no longer knows the attempt", counted, uncounted)


def apply_adopted(tables: SchedulerTables, event: events.AttemptsAdopted, at: Moment) -> None:
    """Note that the attempts run."""
    entered = transitions.instant(at)
    for task_id in event.task_ids:
        tables.tasks.put(transitions.started(tables.tasks[task_id], entered=entered))


def apply_revoked(tables: SchedulerTables, event: events.AttemptsRevoked, at: Moment) -> None:
    """Take the attempts away."""
    failure = Failure(_LOST, event.message)
    for task_id in event.counted:
        _fail(tables, task_id, failure, at)
    for task_id in event.uncounted:
        row = tables.tasks[task_id]
        if row.state is State.CANCELLING:
            new = transitions.cancelled_attempt(row, at, position=tables.take_positions(at))
        else:
            new = transitions.put_back(row, at)
        tasks.write(tables, row, new, at)


def apply_timed_out(tables: SchedulerTables, event: events.AttemptsTimedOut, at: Moment) -> None:
    """Take attempts away that ran too long."""
    for task_id in event.task_ids:
        limit = tables.tasks[task_id].spec.template.attempt_timeout_ms
        _fail(tables, task_id, Failure(_TIMED_OUT, f"the attempt ran longer than {limit} ms"), at)


def _fail(tables: SchedulerTables, task_id: str, failure: Failure, at: Moment) -> None:
    row, position = tables.tasks[task_id], tables.take_positions(at)
    if row.state is State.CANCELLING:
        new = transitions.cancelled_attempt(row, at, position=position)
    else:
        new = transitions.failed(row, failure, at, position=position)
    tasks.write(tables, row, new, at)


def _adopted(
    tables: SchedulerTables, command: AttachAgent, columns: AttemptColumns, cancel: list[AttemptKey]
) -> Iterator[tuple[str, TaskRow]]:
    for index, task_id in enumerate(columns.task_ids):
        key = AttemptKey(task_id, columns.epoch(index), columns.numbers[index])
        row = tables.tasks.get(task_id)
        present = is_present(row, agent_id=command.agent_id, instance_id=command.instance_id, key=key)
        if row is None or not present or row.state is State.CANCELLING:
            cancel.append(key)
        if row is not None and present:
            yield task_id, row


def _age(row: TaskRow) -> tuple[int, int]:
    return (row.offer.seq if row.offer is not None else 0, row.position)

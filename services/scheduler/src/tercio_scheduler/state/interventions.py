"""What is done to tasks for the sake of others: a higher priority, waiting for another one, leaving an agent.

The conflicts service asks for it, and nobody else: it sees who is in whose way. Done twice it does no harm. A task that
is to wait for another one's end goes on when that ends, however it does, and after half an hour in any case; so nothing
that is asked here can keep a task from running for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import islice
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import events, transitions
from tercio_scheduler.state.commands import AttemptKey
from tercio_scheduler.state.due import AT_ONCE
from tercio_scheduler.state.postponement_rows import PostponementRow
from tercio_scheduler.state.rows import LIVE_ATTEMPT, SYSTEM_TYPES, TERMINAL, State, TaskRow, Why
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

POSTPONED: Final = "POSTPONED"
LONGEST_MS: Final = 1_800_000
"""In which a conflict is to be over."""
_MOST: Final = 100
"""Tasks that wait so at once: each is looked at after every record."""
_MOST_STEPS: Final = 10_000


class Kind(IntEnum):
    """What is to be done. Numbers are those of the conflicts service's contract."""

    BOOST_PRIORITY = 1
    HOLD = 2
    REORDER = 3
    REVOKE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervene:
    """Do it. Answers `Intervened`. Never refuses.

    Attributes:
        kind: what.
        task_id: to which task.
        after_task_id: what it is to wait for, of HOLD and REORDER.
        priority: the least that it is to have, of BOOST_PRIORITY.
        because: for people.
    """

    kind: Kind
    task_id: str
    after_task_id: str = ""
    priority: int = 0
    because: str = ""


class Taken(NamedTuple):
    """An attempt that was taken from its agent, which is to stop it."""

    agent_id: str
    instance_id: bytes
    key: AttemptKey


class Intervened(NamedTuple):
    """Answer to `Intervene`: whether it is so now, and if not, why."""

    done: bool = True
    message: str = ""
    taken: Taken | None = None


def decide(tables: SchedulerTables, command: Intervene, at: Moment) -> Decision:
    """Do what was asked, as far as it still makes sense."""
    row = tables.tasks.get(command.task_id)
    if row is None or row.state in TERMINAL:
        return _not_done(f"task {command.task_id!r} has ended, or is not kept")
    if row.spec.template.task_type.startswith(SYSTEM_TYPES):
        return _not_done("it is one of the fleet's own tasks")
    return _DECIDE[command.kind](tables, command, row, at)


def _boost(_tables: SchedulerTables, command: Intervene, row: TaskRow, _at: Moment) -> Decision:
    if command.priority <= row.spec.template.priority:
        return Decision((), Intervened())
    return Decision((events.TaskPriorityRaised(row.task_id, command.priority),), Intervened())


def _revoke(_tables: SchedulerTables, command: Intervene, row: TaskRow, _at: Moment) -> Decision:
    found, taken = _taken(row, command)
    return Decision(found, Intervened(taken=taken))


def _hold(tables: SchedulerTables, command: Intervene, row: TaskRow, at: Moment) -> Decision:
    if row.state is State.CANCELLING:
        return Decision((), Intervened())
    found, taken = _taken(row, command)
    return _postponed(tables, command, row, at, first=found, taken=taken)


def _reorder(tables: SchedulerTables, command: Intervene, row: TaskRow, at: Moment) -> Decision:
    if row.state in LIVE_ATTEMPT:
        return _not_done("it runs already")
    return _postponed(tables, command, row, at)


_DECIDE: Final[dict[Kind, Callable[[SchedulerTables, Intervene, TaskRow, Moment], Decision]]] = {
    Kind.BOOST_PRIORITY: _boost,
    Kind.HOLD: _hold,
    Kind.REORDER: _reorder,
    Kind.REVOKE: _revoke,
}


def _postponed(
    tables: SchedulerTables,
    command: Intervene,
    row: TaskRow,
    at: Moment,
    *,
    first: tuple[events.Event, ...] = (),
    taken: Taken | None = None,
) -> Decision:
    after = tables.tasks.get(command.after_task_id)
    if after is None or after.state in TERMINAL:
        return Decision((), Intervened(message=f"task {command.after_task_id!r} has ended already"))
    if row.state is State.BLOCKED:
        return _not_done("it waits for tasks that must succeed first")
    before = tables.postponements.get(row.task_id)
    if before is not None and before.after_task_id == after.task_id:
        return Decision((), Intervened())
    if before is None and len(tables.postponements) >= _MOST:
        return _not_done(f"{_MOST} tasks wait for others already")
    if _waits_for(tables, after, row.task_id):
        return _not_done(f"task {after.task_id!r} waits for it")
    event = events.TaskPostponed(row.task_id, after.task_id, at.now + LONGEST_MS)
    return Decision((*first, event), Intervened(taken=taken))


def _taken(row: TaskRow, command: Intervene) -> tuple[tuple[events.Event, ...], Taken | None]:
    offer = row.offer
    if row.state not in LIVE_ATTEMPT or offer is None:
        return (), None
    event = events.AttemptsRevoked(offer.agent_id, command.because, (), (row.task_id,))
    return (event,), Taken(offer.agent_id, offer.instance_id, AttemptKey(row.task_id, offer.epoch, row.number))


def _waits_for(tables: SchedulerTables, row: TaskRow, other_id: str) -> bool:
    """Tell whether a task waits for another one, by way of others as well; in doubt it does."""
    seen, left = set[str](), [row.task_id]
    while left:
        task_id = left.pop()
        if task_id == other_id or len(seen) > _MOST_STEPS:
            return True
        if task_id in seen or (found := tables.tasks.get(task_id)) is None:
            continue
        seen.add(task_id)
        left += found.waiting_for
        if (postponement := tables.postponements.get(task_id)) is not None:
            left.append(postponement.after_task_id)
    return False


def _not_done(message: str) -> Decision:
    return Decision((), Intervened(done=False, message=message))


def apply_raised(tables: SchedulerTables, event: events.TaskPriorityRaised, _at: Moment) -> None:
    """Let the task wait among those of that priority, as long as it has waited."""
    row = tables.tasks[event.task_id]
    template = tables.share_template(replace(row.spec.template, priority=event.priority))
    tables.tasks.put(row._replace(spec=row.spec._replace(template=template)))


def apply_postponed(tables: SchedulerTables, event: events.TaskPostponed, at: Moment) -> None:
    """Let the task wait for another one; its place in the queue is kept."""
    row = tables.tasks[event.task_id]
    why = Why(POSTPONED, f"waits until task {event.after_task_id} has ended")
    tables.tasks.put(row._replace(state=State.BACKOFF, why=why, entered=transitions.instant(at), due=event.until))
    tables.postponements.put(PostponementRow(event.task_id, event.after_task_id))


def apply_ended(tables: SchedulerTables, event: events.PostponementsEnded, at: Moment) -> None:
    """Let the tasks go on that still wait."""
    for task_id in event.task_ids:
        tables.postponements.delete(task_id)
        row = tables.tasks.get(task_id)
        if row is not None and _is_postponed(row):
            tables.tasks.put(transitions.put_back(row, at))


class Postponements:
    """The source that lets postponed tasks go on; see `due.Source`."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._aside: set[str] = set()
        self._served: tuple[str, ...] = ()

    def next_due(self) -> int | None:
        if not len(self._tables.postponements):
            return None
        return AT_ONCE if any(row.task_id not in self._aside and self._is_over(row) for row in self._rows()) else None

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        over = sorted(row.task_id for row in self._rows() if row.task_id not in self._aside and self._is_over(row))
        self._served = tuple(islice(over, limit))
        return [events.PostponementsEnded(self._served)]

    def set_aside(self) -> str:
        self._aside.update(self._served)
        return f"end of the postponement of {', '.join(self._served)}"

    def take_back(self) -> None:
        self._aside.clear()

    def _rows(self) -> list[PostponementRow]:
        return list(self._tables.postponements.values())

    def _is_over(self, postponement: PostponementRow) -> bool:
        row = self._tables.tasks.get(postponement.task_id)
        after = self._tables.tasks.get(postponement.after_task_id)
        return row is None or not _is_postponed(row) or after is None or after.state in TERMINAL


def _is_postponed(row: TaskRow) -> bool:
    return row.state is State.BACKOFF and row.why.reason == POSTPONED

"""Work that may be in somebody's way: tasks that hold claims or resources, and those that wait for some.

What needs nothing contends for nothing but an agent, and is left out; so this costs a fleet without claims nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from tercio_scheduler.state.admission import key_of, owner_of
from tercio_scheduler.state.rows import LIVE_ATTEMPT, TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables


class Contender(NamedTuple):
    """A task that holds something, or waits for it.

    Attributes:
        row: the task.
        owner: under which its attempt holds what it was granted; empty while it waits.
        waits_for: tasks whose claims are in its way.
    """

    row: TaskRow
    owner: str = ""
    waits_for: tuple[str, ...] = ()


def contenders(tables: SchedulerTables, session: SchedulerSession) -> Iterator[Contender]:
    """Give them, those that hold something first, and of those that wait the first of each line first."""
    for admission in tables.admissions.values():
        row = tables.tasks.get(admission.task_id)
        if row is not None and admission.granted and row.state in LIVE_ATTEMPT:
            yield Contender(row, owner_of(admission))
    lines = [line for _, line in tables.index.admitting.lines()]
    waiting = chain((row for line in lines if (row := line.first()) is not None), *lines)
    seen: set[str] = set()
    for row in waiting:
        if row.task_id not in seen:
            seen.add(row.task_id)
            yield Contender(row, waits_for=_in_the_way(session, row))


def _in_the_way(session: SchedulerSession, row: TaskRow) -> tuple[str, ...]:
    shortage = session.shortages.of(row.spec.template.needs)
    owners = [blocker.owner for blocker in shortage.blockers] if shortage is not None else []
    return tuple(dict.fromkeys(task_id for owner in owners if (task_id := _task_of(owner))))


def _task_of(owner: str) -> str:
    """Return the task whose attempt an owner is; empty for anybody else."""
    try:
        return key_of(owner).task_id
    except ValueError:
        return ""

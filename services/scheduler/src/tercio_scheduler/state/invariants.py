"""What always holds between the tables and everything derived from them.

Checked after each step in tests and sampled in production; a check costs time in proportion to the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tercio_scheduler.state.indexes import row_bytes, wall_due
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.rows import LIVE_ATTEMPT, TERMINAL, PlanRow, State, TaskRow
from tercio_scheduler.state.tables import SchedulerTables

_TIMED: Final = frozenset({State.BACKOFF, State.RUNNING, State.CANCELLING})


def check(machine: SchedulerMachine) -> list[str]:
    """Return one line for each violation; none when all is well."""
    tables = machine.tables
    rows = list(tables.tasks.values())
    found = [f"{row.task_id}: {violation}" for row in rows for violation in _row(tables, row)]
    found += _queues(tables, rows)
    found += _positions(rows)
    found += _attempts(tables, rows)
    found += _timers(tables, rows)
    found += _admissions(tables, rows)
    found += _dependencies(tables, rows)
    found += _order_and_size(tables, rows)
    found += [line for plan in tables.plans.values() for line in _plan(tables, plan)]
    return found


def _row(tables: SchedulerTables, row: TaskRow) -> Iterator[str]:
    if (row.state is State.BLOCKED) != bool(row.waiting) and row.state not in TERMINAL:
        yield f"{row.state.name} while waiting for {row.waiting_for}"
    if row.state in LIVE_ATTEMPT and (row.offer is None or row.number < 1):
        yield f"{row.state.name} without an attempt"
    if (row.due != 0) != (row.state in _TIMED):
        yield f"{row.state.name} with a timer at {row.due}"
    if (row.cancel_to is not None) != (row.state is State.CANCELLING):
        yield f"{row.state.name} with {row.cancel_to} to follow"
    if row.state in TERMINAL and wall_due(row):
        yield "terminal with a deadline that still counts"
    if row.result and row.state is not State.SUCCEEDED:
        yield f"{row.state.name} with a result"
    if row.past.failures > row.spec.template.max_attempts:
        yield f"{row.past.failures} failures of {row.spec.template.max_attempts}"
    if row.past.failures > row.number:
        yield f"{row.past.failures} failures in {row.number} attempts"
    if row.spec.plan_id and row.spec.plan_id not in tables.plans:
        yield f"of plan {row.spec.plan_id}, which is not kept"


def _queues(tables: SchedulerTables, rows: list[TaskRow]) -> Iterator[str]:
    queued: list[TaskRow] = []
    for lane, line in tables.index.ready.lines():
        members = list(line)
        queued += members
        if not members:
            yield f"an empty line is kept for {lane}"
        if [row.position for row in members] != sorted(row.position for row in members):
            yield f"the line of {lane} is out of order"
        if {row.spec.template.lane for row in members} - {lane}:
            yield f"the line of {lane} holds tasks of another"
    yield from _same("ready queues", queued, [row for row in rows if row.state is State.READY])
    if len(tables.index.ready) != len(queued):
        yield f"ready queues count {len(tables.index.ready)} and hold {len(queued)}"
    yield from _same("finished", list(tables.index.finished), [row for row in rows if row.state in TERMINAL])


def _admissions(tables: SchedulerTables, rows: list[TaskRow]) -> Iterator[str]:
    index = tables.index
    queued = [row for _, line in index.admitting.lines() for row in line]
    yield from _same("admission queues", queued, [row for row in rows if row.state is State.ADMITTING])
    if index.admissions != {row.task_id: row for row in tables.admissions.values()}:
        yield "the index of admissions differs from them"
    for row in rows:
        if row.spec.template.holds and row.state in {State.READY} | LIVE_ATTEMPT:
            number = row.number + (row.state is State.READY)
            admission = tables.admissions.get(row.task_id)
            if admission is None or admission.number != number or not admission.granted:
                yield f"{row.task_id}: {row.state.name} with attempt {number}, but the admission is {admission}"
    ended = index.admissions_open.keys() & index.admissions_over.keys()
    if ended or (index.admissions_open.keys() | index.admissions_over.keys()) - index.admissions.keys():
        yield f"admissions that are open and over: {ended}, or not kept"


def _positions(rows: list[TaskRow]) -> Iterator[str]:
    for states in ({State.READY} | LIVE_ATTEMPT, TERMINAL):
        counts = Counter(row.position for row in rows if row.state in states)
        yield from (f"position {position} is taken {count} times" for position, count in counts.items() if count > 1)


def _attempts(tables: SchedulerTables, rows: list[TaskRow]) -> Iterator[str]:
    wanted: dict[str, set[str]] = {}
    for row in rows:
        if row.state in LIVE_ATTEMPT and row.offer is not None:
            wanted.setdefault(row.offer.agent_id, set()).add(row.task_id)
    if {agent_id: set(held) for agent_id, held in tables.index.by_agent.items()} != wanted:
        yield "attempts by agent differ from the tasks"


def _timers(tables: SchedulerTables, rows: list[TaskRow]) -> Iterator[str]:
    index, everything = tables.index, len(rows) + 1
    for name, heap, wanted in (
        ("timers", index.timers, [row for row in rows if row.due]),
        ("deadlines", index.deadlines, [row for row in rows if wall_due(row)]),
    ):
        yield from _same(name, heap.due(1 << 62, limit=everything), wanted)
        if len(heap) != len(wanted):
            yield f"{name} count {len(heap)}, there are {len(wanted)}"


def _dependencies(tables: SchedulerTables, rows: list[TaskRow]) -> Iterator[str]:
    children: dict[str, set[str]] = {}
    for row in rows:
        for parent_id in row.waiting_for if row.state is State.BLOCKED else ():
            children.setdefault(parent_id, set()).add(row.task_id)
            parent = tables.tasks.get(parent_id)
            if parent is None:
                yield f"{row.task_id} waits for {parent_id} in vain"
    if {parent_id: set(waiting) for parent_id, waiting in tables.index.children.items()} != children:
        yield "waiting children differ from the tasks"
    ended = {row.task_id: row.state for row in rows if row.task_id in children and row.state in TERMINAL}
    releasing = {task_id for task_id, state in ended.items() if state is State.SUCCEEDED}
    for name, have, want in (
        ("failing", tables.index.failing, ended.keys() - releasing),
        ("releasing", tables.index.releasing, releasing),
    ):
        if have.keys() != want:
            yield f"{name} parents are {set(have)}, not {set(want)}"


def _order_and_size(tables: SchedulerTables, rows: list[TaskRow]) -> Iterator[str]:
    listed = [task_id for _, task_id in tables.index.accepted.after(0)]
    if listed != [row.task_id for row in sorted(rows, key=lambda row: row.spec.order)]:
        yield "the order of acceptance differs from the tasks"
    size = sum(map(row_bytes, rows))
    if tables.index.live_bytes != size:
        yield f"{tables.index.live_bytes} bytes are counted, the tasks hold {size}"
    if tables.plan_index.in_order() != sorted(plan.plan_id for plan in tables.plans.values()):
        yield "the order of plans differs from the plans"
    cancelling = {plan.plan_id for plan in tables.plans.values() if plan.cancel_next >= 0}
    if set(tables.plan_index.cancelling) != cancelling:
        yield "plans being cancelled differ from the plans"


def _plan(tables: SchedulerTables, plan: PlanRow) -> Iterator[str]:
    kept = [row for task_id in plan.task_ids if (row := tables.tasks.get(task_id)) is not None]
    gone = len(plan.task_ids) - len(kept)
    succeeded = sum(row.state is State.SUCCEEDED for row in kept)
    failed = sum(row.state in TERMINAL and row.state is not State.SUCCEEDED for row in kept)
    if tables.index.kept_of_plan.get(plan.plan_id, 0) != len(kept):
        yield f"plan {plan.plan_id} counts {tables.index.kept_of_plan.get(plan.plan_id, 0)} of {len(kept)} kept tasks"
    if plan.succeeded + plan.failed != succeeded + failed + gone or plan.succeeded < succeeded or plan.failed < failed:
        yield f"plan {plan.plan_id} counts {plan.succeeded} + {plan.failed}, its tasks {succeeded} + {failed}"
    if bool(plan.ended_wall) != (plan.succeeded + plan.failed == len(plan.task_ids)):
        yield f"plan {plan.plan_id} ended at {plan.ended_wall} with {plan.succeeded} + {plan.failed} tasks"


def _same(name: str, have: list[TaskRow], want: list[TaskRow]) -> Iterator[str]:
    if Counter(row.task_id for row in have) != Counter(row.task_id for row in want):
        yield f"{name} differ from the tasks"
    elif {row.task_id: row for row in have} != {row.task_id: row for row in want}:
        yield f"{name} hold rows of the past"

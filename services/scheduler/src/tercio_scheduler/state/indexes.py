"""What is derived from the rows: queues, timers, attempts by agent, waiting children, order of listing, size.

Nothing here is stored; all of it follows the tables' hooks, also when a command is undone, and is rebuilt on load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tercio_scheduler.state.admission_rows import AdmissionRow
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.lines import AcceptanceOrder, Line
from tercio_scheduler.state.queues import AdmissionQueues, ReadyQueues
from tercio_scheduler.state.rows import (
    LIVE_ATTEMPT,
    NO_PAST,
    SYSTEM_TYPES,
    TERMINAL,
    CarriedRow,
    PlanRow,
    State,
    TaskRow,
    TaskSpec,
)
from tercio_scheduler.state.timers import TimerHeap

_ROW_BYTES: Final = 256
"""What a task costs in a snapshot beyond its variable parts, measured with short ids."""
# Members of an enumeration cost three times a global name to reach, and every write reaches for several.
_READY: Final = State.READY
_OFFERED: Final = State.OFFERED
_RUNNING: Final = State.RUNNING
_CANCELLING: Final = State.CANCELLING
_BLOCKED: Final = State.BLOCKED
_BACKOFF: Final = State.BACKOFF
_SUCCEEDED: Final = State.SUCCEEDED
_ADMITTING: Final = State.ADMITTING
_TO_SETTLE: Final = TERMINAL | {State.CANCELLING}
_HAS_DEADLINE: Final = frozenset(
    {State.BLOCKED, State.ADMITTING, State.READY, State.BACKOFF, State.OFFERED, State.RUNNING}
)


def row_bytes(row: TaskRow) -> int:
    """Return about how many bytes the row takes in a snapshot."""
    spec, past = row.spec, row.past
    size = _ROW_BYTES + spec.template.size + len(spec.payload) + len(row.result) + len(row.why.message)
    if spec.depends_on:
        size += sum([len(parent) + 2 for parent in spec.depends_on]) * 2
    if past is NO_PAST:
        return size
    return size + len(past.checkpoint) + sum([len(error.message) + 64 for error in past.errors])


def fleet_due(row: TaskRow) -> int:
    """Return when the row's state ends by itself, in fleet time; 0 for never."""
    return row.due


def wall_due(row: TaskRow) -> int:
    """Return the deadline that still counts for the row, in wall time; 0 for none."""
    return row.spec.deadline if row.state in _HAS_DEADLINE else 0


class TaskIndexes:
    """Everything derived from the table of tasks."""

    def __init__(self, *, limits: Limits, get: Callable[[str], TaskRow | None]) -> None:
        """Start empty; `get` is the present row of a task."""
        self.task = self._get = get
        self.ready = ReadyQueues(ageing_step_ms=limits.ageing_step_ms)
        self.admitting = AdmissionQueues()
        self.admissions: dict[str, AdmissionRow] = {}
        """Attempts that hold resources or may, those of them that were not offered yet, and those that are over."""
        self.admissions_open: dict[str, None] = {}
        self.admissions_over: dict[str, None] = {}
        self.finished = Line()
        self.accepted = AcceptanceOrder()
        self.timers = TimerHeap(fleet_due, get=get)
        self.deadlines = TimerHeap(wall_due, get=get)
        self.by_agent: dict[str, dict[str, None]] = {}
        self.children: dict[str, dict[str, int]] = {}
        """The tasks that each parent blocks, each with the bit of that parent in `TaskRow.waiting`."""
        self.failing: dict[str, None] = {}
        self.releasing: dict[str, None] = {}
        """Parents that succeeded and have children all the same."""
        self.kept_of_plan: dict[str, int] = {}
        self.system: dict[str, None] = {}
        """Tasks that carry out system tasks; those of them that are ready, and those that are to be settled."""
        self.system_ready: dict[str, None] = {}
        self.system_ended: dict[str, None] = {}
        self.live_bytes = 0
        self.spent = 0
        """The highest number of an attempt whose task is no longer kept; the attempts of a new task are above it."""

    def changed(self, key: str, old: TaskRow | None, new: TaskRow | None) -> None:
        """Follow one change; see `tercio_common.machine.table.Index`."""
        if old is not None and new is not None and old.state is _BLOCKED and new.state is _BLOCKED:
            self._wait(key, new.spec, old.waiting, new.waiting)  # one of many parents has succeeded
            return
        if old is None:
            if new is not None:
                self._appeared(new)
        else:
            self._left(key, old)
            if new is None:
                self._vanished(old)
            elif old.past is not new.past or old.why is not new.why:
                self.live_bytes += row_bytes(new) - row_bytes(old)
            elif old.result is not new.result:
                self.live_bytes += len(new.result) - len(old.result)
        if new is not None:
            self._entered(key, new)
        if self.admissions and (admission := self.admissions.get(key)) is not None:
            self.judge_admission(admission, new)

    def _appeared(self, row: TaskRow) -> None:
        spec = row.spec
        self.accepted.enter(spec.order, row.task_id)
        self.live_bytes += row_bytes(row)
        if spec.plan_id:
            self.kept_of_plan[spec.plan_id] = self.kept_of_plan.get(spec.plan_id, 0) + 1

    def _vanished(self, row: TaskRow) -> None:
        spec = row.spec
        self.accepted.leave(spec.order)
        self.live_bytes -= row_bytes(row)
        # Ids of system tasks are never used again.
        if row.number > self.spent and not spec.template.task_type.startswith(SYSTEM_TYPES):
            self.spent = row.number
        if spec.plan_id:
            self.kept_of_plan[spec.plan_id] -= 1
            if not self.kept_of_plan[spec.plan_id]:
                del self.kept_of_plan[spec.plan_id]

    def _left(self, key: str, row: TaskRow) -> None:
        state, offer = row.state, row.offer
        if self.system:
            self.system_ready.pop(key, None)
            self.system_ended.pop(key, None)
        if state is _READY:
            self.ready.leave(row)
        elif offer is not None and (state is _OFFERED or state is _RUNNING or state is _CANCELLING):
            held = self.by_agent[offer.agent_id]
            del held[key]
            if not held:
                del self.by_agent[offer.agent_id]
        elif state is _BLOCKED:
            self._wait(key, row.spec, row.waiting, 0)
        elif state is _ADMITTING:
            self.admitting.leave(row)
        elif state is not _BACKOFF:
            self.finished.leave(row)
            self.failing.pop(key, None)
            self.releasing.pop(key, None)
        if row.due:
            self.timers.leave()
        if row.spec.deadline and state in _HAS_DEADLINE:
            self.deadlines.leave()

    def _entered(self, key: str, row: TaskRow) -> None:
        state, offer = row.state, row.offer
        if state is _READY:
            self.ready.enter(row)
        elif offer is not None and (state is _OFFERED or state is _RUNNING or state is _CANCELLING):
            held = self.by_agent.get(offer.agent_id)
            if held is None:
                held = self.by_agent[offer.agent_id] = {}
            held[key] = None
        elif state is _BLOCKED:
            self._wait(key, row.spec, 0, row.waiting)
        elif state is _ADMITTING:
            self.admitting.enter(row)
        elif state is not _BACKOFF:
            self.finished.enter(row)
            if key in self.children:
                (self.releasing if state is _SUCCEEDED else self.failing)[key] = None
        if key in self.system:
            self.enter_system(key, row)
        if row.due:
            self.timers.enter(row.due, key)
        if row.spec.deadline and state in _HAS_DEADLINE:
            self.deadlines.enter(row.spec.deadline, key)

    def judge_admission(self, admission: AdmissionRow, row: TaskRow | None) -> None:
        """Follow the task of an admission: the attempt that it is for is to come, lives, or is over."""
        number, key = admission.number, admission.task_id
        waits = _READY if admission.granted else _ADMITTING
        is_next = row is not None and row.number + 1 == number and row.state is waits
        lives = row is not None and row.number == number and row.state in LIVE_ATTEMPT
        self.admissions_open.pop(key, None)
        self.admissions_over.pop(key, None)
        if is_next:
            self.admissions_open[key] = None
        elif not lives:
            self.admissions_over[key] = None

    def enter_system(self, key: str, row: TaskRow) -> None:
        """Follow a task that carries out a system task into its state."""
        if row.state is _READY:
            self.system_ready[key] = None
        elif row.state in _TO_SETTLE:
            self.system_ended[key] = None

    def _wait(self, key: str, spec: TaskSpec, before: int, after: int) -> None:
        """Follow a change of the parents that a task waits for."""
        changed = before ^ after
        while changed:
            bit = changed & -changed
            changed ^= bit
            parent_id = spec.depends_on[bit.bit_length() - 1]
            if after & bit:
                self.children.setdefault(parent_id, {})[key] = bit
                parent = self._get(parent_id)
                if parent is not None and parent.state in TERMINAL:
                    (self.releasing if parent.state is _SUCCEEDED else self.failing)[parent_id] = None
                continue
            children = self.children[parent_id]
            del children[key]
            if not children:
                del self.children[parent_id]
                self.failing.pop(parent_id, None)
                self.releasing.pop(parent_id, None)


class CarriedIndex:
    """Tells the indexes of tasks which ones carry out system tasks."""

    def __init__(self, index: TaskIndexes) -> None:
        """Tell `index`."""
        self._index = index

    def changed(self, key: str, old: CarriedRow | None, new: CarriedRow | None) -> None:
        """Follow one change; see `tercio_common.machine.table.Index`."""
        index = self._index
        if new is None:
            for kept in (index.system, index.system_ready, index.system_ended):
                kept.pop(key, None)
        elif old is None:
            index.system[key] = None
            if (row := index.task(key)) is not None:
                index.enter_system(key, row)


class AdmissionIndex:
    """Tells the indexes of tasks which attempts hold resources."""

    def __init__(self, index: TaskIndexes) -> None:
        """Tell `index`."""
        self._index = index

    def changed(self, key: str, old: AdmissionRow | None, new: AdmissionRow | None) -> None:
        """Follow one change; see `tercio_common.machine.table.Index`."""
        index = self._index
        if new is not None:
            index.admissions[key] = new
            index.judge_admission(new, index.task(key))
            return
        for kept in (index.admissions, index.admissions_open, index.admissions_over):
            kept.pop(key, None)


class PlanIndexes:
    """Everything derived from the table of plans."""

    def __init__(self) -> None:
        """Start empty."""
        self.cancelling: dict[str, None] = {}
        self._ids: dict[str, None] = {}
        self._sorted: list[str] | None = []

    def changed(self, key: str, old: PlanRow | None, new: PlanRow | None) -> None:
        """Follow one change; see `tercio_common.machine.table.Index`."""
        if old is None:
            self._ids[key] = None
            self._sorted = None
        if new is None:
            self._ids.pop(key, None)
            self._sorted = None
        if new is not None and new.cancel_next >= 0:
            self.cancelling[key] = None
        else:
            self.cancelling.pop(key, None)

    def in_order(self) -> list[str]:
        """Return every plan's id, sorted."""
        if self._sorted is None:
            self._sorted = sorted(self._ids)
        return self._sorted

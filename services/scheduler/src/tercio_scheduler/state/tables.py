"""The scheduler's durable state: two tables, what is derived from them, and the positions that records hand out."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from tercio_common.machine.outbox import Outbox
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table, TableStore
from tercio_scheduler.state.indexes import CarriedIndex, PlanIndexes, TaskIndexes
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.rows import CarriedRow, PlanRow, TaskRow, Template

POSITION_BITS: Final = 20
"""Positions of one record: over a million, more than a frame of 256 kB can need."""
_MOST_RELEASED: Final = 1_000
"""Children that one record releases beside what else it does: about 10 ms."""
_NO_BOUND: Final = -(1 << 62)
_MOST_TEMPLATES: Final = 10_000
"""Templates of which one object is kept for all tasks; beyond that only memory is lost."""


class SchedulerTables(TableStore):
    """Tasks and plans."""

    def __init__(self, limits: Limits) -> None:
        """Start empty."""
        super().__init__()
        self.limits = limits
        self.tasks: Table[TaskRow] = Table("tasks", itemgetter(0), store=self)
        self.plans: Table[PlanRow] = Table("plans", itemgetter(0), store=self)
        self.index = TaskIndexes(limits=limits, get=self.tasks.get)
        self.plan_index = PlanIndexes()
        self.tasks.add_index(self.index)
        self.plans.add_index(self.plan_index)
        self.carried: Table[CarriedRow] = Table("carried", itemgetter(0), store=self, fed=False)
        self.carried.add_index(CarriedIndex(self.index))
        self.outbox = Outbox(self)
        self._templates: dict[Template, Template] = {}
        self._positions_seq = 0
        self._positions = 0
        self._released = 0

    def begin_record(self) -> None:
        """Start handing out positions anew: the next record may bear the number of one that was undone."""
        self._positions_seq = 0

    def take_positions(self, at: Moment, count: int = 1) -> int:
        """Return the first of `count` consecutive positions that no other record and no other call gets."""
        self._look_at(at)
        first = (at.seq << POSITION_BITS) + self._positions
        self._positions += count
        return first

    def take_releases(self, at: Moment, count: int) -> bool:
        """Tell whether this record may release `count` more children; what it may not is left to later ones."""
        self._look_at(at)
        self._released += count
        return self._released <= _MOST_RELEASED

    def release_at_once(self, at: Moment) -> None:
        """Let this record release every child, as records once did."""
        self._look_at(at)
        self._released = _NO_BOUND

    def _look_at(self, at: Moment) -> None:
        if at.seq != self._positions_seq:
            self._positions_seq, self._positions, self._released = at.seq, 0, 0

    def share_template(self, template: Template) -> Template:
        """Return the one object that stands for all equal templates."""
        if len(self._templates) >= _MOST_TEMPLATES:
            self._templates.clear()
        return self._templates.setdefault(template, template)

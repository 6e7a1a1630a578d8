"""The scheduler's durable state: two tables, what is derived from them, and the positions that records hand out."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from tercio_common.machine.outbox import Outbox
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table, TableStore
from tercio_scheduler.state.admission_rows import AdmissionRow
from tercio_scheduler.state.indexes import AdmissionIndex, CarriedIndex, PlanIndexes, TaskIndexes
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.postponement_rows import PostponementRow
from tercio_scheduler.state.rows import CarriedRow, PlanRow, TaskRow, Template

POSITION_BITS: Final = 20
"""Positions of one record: over a million, more than a frame of 256 kB can need."""
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
        self.admissions: Table[AdmissionRow] = Table("admissions", itemgetter(0), store=self, fed=False)
        self.admissions.add_index(AdmissionIndex(self.index))
        self.postponements: Table[PostponementRow] = Table("postponements", itemgetter(0), store=self, fed=False)
        self.outbox = Outbox(self)
        self._templates: dict[Template, Template] = {}
        self._positions_seq = 0
        self._positions = 0
        self._may_release = 0

    def begin_record(self) -> None:
        """Start handing out positions anew: the next record may bear the number of one that was undone."""
        self._positions_seq = 0

    def take_positions(self, at: Moment, count: int = 1) -> int:
        """Return the first of `count` consecutive positions that no other record and no other call gets."""
        if at.seq != self._positions_seq:
            self._positions_seq, self._positions = at.seq, 0
        first = (at.seq << POSITION_BITS) + self._positions
        self._positions += count
        return first

    def bound_releases(self, most: int) -> None:
        """Let the event that is applied release at most so many children; what it may not is left to later records."""
        self._may_release = most

    def take_releases(self, count: int) -> bool:
        """Tell whether the event may release `count` more children."""
        self._may_release -= count
        return self._may_release >= 0

    def share_template(self, template: Template) -> Template:
        """Return the one object that stands for all equal templates."""
        if len(self._templates) >= _MOST_TEMPLATES:
            self._templates.clear()
        return self._templates.setdefault(template, template)

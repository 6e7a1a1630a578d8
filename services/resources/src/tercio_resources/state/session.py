"""What one leader has heard and who waits at it: session state, lost with the leadership."""

from __future__ import annotations

from tercio_common.leasing.listening import Listening
from tercio_resources.state.demands import Demands
from tercio_resources.state.rows import AllocationRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.waiting import Waiting


class Session(Listening):
    """Renewals, who waits, and what holders of budgets need. The edge writes it; `decide` only reads."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.waiting = Waiting(most=rules.max_waiting)
        self.demands = Demands()

    def lease_end(self, row: AllocationRow, now: int) -> int:
        """Return when an allocation is released unless it is renewed: its lease's end, and the grace."""
        return self.lease_start(row.owner, granted=row.granted_now, now=now) + row.lot.ttl + self.rules.grace

"""What one leader has heard and who waits at it: session state, lost with the leadership."""

from __future__ import annotations

from tercio_common.leasing.listening import Listening
from tercio_conflicts.state.board import Board
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.waiting import Waiting


class Session(Listening):
    """Renewals, who waits, and who works on what. The edge writes it; `decide` only reads."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.waiting = Waiting(most=rules.max_waiting, ageing=rules.ageing)
        self.board = Board()

    def lease_end(self, row: ClaimRow, now: int) -> int:
        """Return when a claim is released unless it is renewed: its lease's end, and the grace."""
        return self.lease_start(row.owner, granted=row.granted_now, now=now) + row.terms.ttl + self.rules.grace

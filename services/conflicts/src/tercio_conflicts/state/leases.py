"""Leases: what nobody renews is released, and what must yield is released when its time is over."""

from __future__ import annotations

from tercio_common.leasing.timers import Timers, worked_off
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_conflicts.state.events import ClaimsReleased
from tercio_conflicts.state.rows import Cause, ClaimRow
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.session import Session


class Leases(Timers[int]):
    """The next look at each claim; an index of their table."""

    def __init__(self, rules: Rules) -> None:
        super().__init__("lease of claim")
        self._rules = rules

    def changed(self, key: int, old: ClaimRow | None, new: ClaimRow | None) -> None:
        """See `Index`."""
        if new is None:
            self.drop(key)
        elif old is None or new.granted_now != old.granted_now or new.yields != old.yields:
            due = new.granted_now + new.terms.ttl + self._rules.grace
            self.set(key, min(due, new.yields.at) if new.yields else due)


def expire(
    claims: Table[ClaimRow], leases: Leases, at: Moment, *, session: Session, limit: int
) -> list[ClaimsReleased]:
    """Decide what is due, for at most `limit` claims; every other one that came up is looked at again later."""

    def look(number: int) -> tuple[Cause | None, int]:
        row = claims[number]
        if row.yields and at.now >= row.yields.at:
            return Cause.YIELDED, at.now
        end = session.lease_end(row, at.now)
        if at.now >= end:
            return Cause.EXPIRED, at.now
        return None, min(end, row.yields.at) if row.yields else end

    found = worked_off(leases, at.now, look=look, limit=limit)
    return [ClaimsReleased(cause, tuple(numbers)) for cause, numbers in found.items()]

"""Leases: what nobody renews is released, and what is revoked is released when its time is over."""

from __future__ import annotations

from tercio_common.leasing.timers import Timers, worked_off
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_resources.state.events import AllocationsReleased
from tercio_resources.state.rows import AllocationRow, Cause
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session


class Leases(Timers[int]):
    """The next look at each allocation; an index of their table."""

    def __init__(self, rules: Rules) -> None:
        super().__init__("lease of allocation")
        self._rules = rules

    def changed(self, key: int, old: AllocationRow | None, new: AllocationRow | None) -> None:
        """See `Index`."""
        if new is None:
            self.drop(key)
        elif old is None or new.granted_now != old.granted_now or new.revoke_at != old.revoke_at:
            due = new.granted_now + new.lot.ttl + self._rules.grace
            self.set(key, min(due, new.revoke_at) if new.revoke_at else due)


def expire(
    allocations: Table[AllocationRow], leases: Leases, at: Moment, *, session: Session, limit: int
) -> list[AllocationsReleased]:
    """Decide what is due, for at most `limit` allocations; every other one that came up is looked at again later."""

    def look(number: int) -> tuple[Cause | None, int]:
        row = allocations[number]
        if row.revoke_at and at.now >= row.revoke_at:
            return Cause.REVOKED, at.now
        end = session.lease_end(row, at.now)
        if at.now >= end:
            return Cause.EXPIRED, at.now
        return None, min(end, row.revoke_at) if row.revoke_at else end

    found = worked_off(leases, at.now, look=look, limit=limit)
    return [AllocationsReleased(cause, tuple(numbers)) for cause, numbers in found.items()]

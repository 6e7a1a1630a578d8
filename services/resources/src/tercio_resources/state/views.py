"""What readers see of an allocation."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_resources.state.rows import AllocationRow
from tercio_resources.state.session import Session


class AllocationState(IntEnum):
    """An allocation's state as shown; the numbers are those of the contract."""

    ACTIVE = 1
    REVOKING = 2


class AllocationView(NamedTuple):
    """An allocation as shown.

    Attributes:
        expires_wall: wall time in ms at which it is released unless it is renewed.
        revoked_wall: wall time in ms at which it is revoked; 0 when it is not.
    """

    row: AllocationRow
    expires_wall: int
    revoked_wall: int

    @property
    def state(self) -> AllocationState:
        """Tell whether the holder may keep it."""
        return AllocationState.REVOKING if self.row.revoke_at else AllocationState.ACTIVE


def view(row: AllocationRow, at: Moment, session: Session) -> AllocationView:
    """Show an allocation at that moment."""
    ahead = at.wall - at.now
    return AllocationView(row, session.lease_end(row, at.now) + ahead, row.revoke_at + ahead if row.revoke_at else 0)

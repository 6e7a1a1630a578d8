"""What readers see of a claim."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.session import Session


class ClaimState(IntEnum):
    """A claim's state as shown; the numbers are those of the contract."""

    HELD = 1
    YIELDING = 2


class ClaimView(NamedTuple):
    """A claim as shown.

    Attributes:
        expires_wall: wall time in ms at which it is released unless it is renewed.
        yields_wall: wall time in ms at which it is released although it is renewed; 0 when nobody asked for it.
    """

    row: ClaimRow
    expires_wall: int
    yields_wall: int

    @property
    def state(self) -> ClaimState:
        """Tell whether the holder may keep it."""
        return state_of(self.row)


def state_of(row: ClaimRow) -> ClaimState:
    """Tell whether the holder may keep a claim."""
    return ClaimState.YIELDING if row.yields else ClaimState.HELD


def view(row: ClaimRow, at: Moment, session: Session) -> ClaimView:
    """Show a claim at that moment."""
    ahead = at.wall - at.now
    return ClaimView(row, session.lease_end(row, at.now) + ahead, row.yields.at + ahead if row.yields else 0)

"""What is reserved for later, what is asked about it, and what happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tercio_resources.state.rows import Lot, Spec


class Phase(IntEnum):
    """How far a reservation is; the numbers are those of the records."""

    BOOKED = 1
    ROOM_MADE = 2
    CLAIMED = 3
    ENDING = 4


class EndCause(IntEnum):
    """Why a reservation ended without a grant; the numbers are those of the records."""

    CANCELLED = 1
    LAPSED = 2


class Window(NamedTuple):
    """From when to when, and until when it is to be claimed, in ms of wall time."""

    start: int
    end: int
    claim_by: int


class ReservationRow(NamedTuple):
    """One reservation.

    Attributes:
        number: its id.
        lot: what is reserved, and of which pools.
        due: when it is looked at next, in ms of fleet time; 0 when it is not.
        allocation: the number of what was granted for it; 0 before.
        principal: who made it; empty in old rows.
    """

    number: int
    owner: str
    lot: Lot
    window: Window
    created_wall: int
    phase: Phase = Phase.BOOKED
    due: int = 0
    allocation: int = 0
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Keep room for an owner; a `claim_by` of 0 is that of the rules."""

    owner: str
    spec: Spec
    start: int
    end: int
    claim_within: int = 0


@dataclass(frozen=True, slots=True)
class ClaimReservation:
    """Grant what was reserved."""

    number: int
    owner: str


@dataclass(frozen=True, slots=True)
class CancelReservation:
    """Keep the room no longer."""

    number: int


ReservationCommand = Reserve | ClaimReservation | CancelReservation


@dataclass(frozen=True, slots=True)
class ReservationMade:
    """Something is reserved; its number is that of the record."""

    owner: str
    lot: Lot
    window: Window


@dataclass(frozen=True, slots=True)
class ReservationAdvanced:
    """Holders were asked to make room for it, or its own holder to release."""

    number: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class ReservationClaimed:
    """The first allocation of the same record was granted for it."""

    number: int


@dataclass(frozen=True, slots=True)
class ReservationsEnded:
    """Room is kept for them no longer."""

    cause: EndCause
    numbers: tuple[int, ...]


ReservationEvent = ReservationMade | ReservationAdvanced | ReservationClaimed | ReservationsEnded

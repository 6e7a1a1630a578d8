"""What the tables hold of claims. Named tuples, because a batch makes hundreds of them."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_common.epochs import Epoch
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.things import Thing

MOST_ITEMS = 1_000
"""Items of one command. Their numbers fit into `NUMBERS_A_RECORD`."""
NUMBERS_A_RECORD = 1_024
"""A record's items are numbered from its sequence number times this: they rise without a counter of their own."""


class Terms(NamedTuple):
    """On what terms claims are granted, shared by all items of a record. `ttl` is in ms."""

    priority: int = 0
    ttl: int = 60_000
    purpose: str = ""


ORDINARY = Terms()
"""What who asks for nothing else gets."""


class Yield(NamedTuple):
    """Somebody asked for a claim: it is released at that fleet time in ms in any case."""

    at: int
    asked_by: str
    because: str = ""


class ClaimRow(NamedTuple):
    """What an owner holds.

    Attributes:
        number: its id.
        token: number of the present holder's fencing token.
        epoch: of that token.
        granted_now: fleet time in ms of the grant or the last transfer, from which the first lease counts.
        granted_wall: wall time in ms of the grant.
        yields: set once somebody asked for it.
    """

    number: int
    owner: str
    thing: Thing
    mode: Mode
    terms: Terms
    token: int
    epoch: Epoch
    granted_now: int
    granted_wall: int
    yields: Yield | None = None


class Cause(IntEnum):
    """Why claims were released; the numbers are those of the records."""

    RELEASED = 1
    EXPIRED = 2
    YIELDED = 3


class Blocker(NamedTuple):
    """What is in the way: a claim, or with number 0 a call that waits and goes first."""

    number: int
    owner: str
    thing: Thing
    mode: Mode


class Obstacle(NamedTuple):
    """Why an item is not granted.

    Attributes:
        reason: in the catalogue of reasons.
        blockers: some of what is in the way.
        yielding: claims that were asked to yield to it.
    """

    reason: str
    blockers: tuple[Blocker, ...] = ()
    yielding: int = 0

"""Fencing tokens: whether whoever shows one may still write."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_common.epochs import Epoch
from tercio_common.machine.table import Table
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.things import Thing, covers


class Check(NamedTuple):
    """What is asked: whether a claim is held with a token, and whether it covers a thing."""

    number: int
    epoch: Epoch
    token: int
    thing: Thing | None


class Verdict(IntEnum):
    """What is known of a token; the numbers are those of the contract."""

    CURRENT = 1
    STALE = 2
    NOT_EXCLUSIVE = 3
    NOT_COVERED = 4


def verdict(check: Check, claims: Table[ClaimRow]) -> Verdict:
    """Judge a token; while its claim is held, nobody else was granted anything incompatible."""
    row = claims.get(check.number)
    if row is None or (row.epoch, row.token) != (check.epoch, check.token):
        return Verdict.STALE
    if row.mode is not Mode.EXCLUSIVE:
        return Verdict.NOT_EXCLUSIVE
    if check.thing is not None and not covers(row.thing, check.thing):
        return Verdict.NOT_COVERED
    return Verdict.CURRENT

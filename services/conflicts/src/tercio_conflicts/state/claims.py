"""Claims after their grant: released exactly once, or handed to another owner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_common.machine.table import Table
from tercio_conflicts.state.commands import Release, Transfer
from tercio_conflicts.state.effort import Effort
from tercio_conflicts.state.events import ClaimsReleased, ClaimsTransferred
from tercio_conflicts.state.rows import NUMBERS_A_RECORD, Cause, ClaimRow
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.tables import ConflictTables


class Released(NamedTuple):
    """What a release did: how many claims it ended, and which were not there."""

    released: int
    unknown: tuple[int, ...]


def release(command: Release, tables: ConflictTables) -> Decision:
    """Decide a release; the reply is `Released`."""
    numbers = dict.fromkeys(number for number in command.numbers if number in tables.claims)
    unknown = tuple(number for number in command.numbers if number not in numbers)
    for owner in command.owners:
        numbers.update(dict.fromkeys(tables.holdings.of(owner)))
    barred = tuple(dict.fromkeys(owner for owner in command.owners if owner not in tables.tombstones))
    reply = Released(len(numbers), unknown)
    if not numbers and not barred:
        return Decision((), reply)
    return Decision([ClaimsReleased(Cause.RELEASED, tuple(numbers), barred)], reply)


def transfer(command: Transfer, tables: ConflictTables, rules: Rules) -> ClaimsTransferred:
    """Decide a hand-over.

    Raises:
        Refusal: CLAIM_NOT_FOUND, OWNER_RELEASED, CLAIM_LIMIT_EXCEEDED, CLAIM_CONFLICT, REQUEST_TOO_LARGE.
    """
    giver, taker = command.from_owner, command.to_owner
    held = tables.holdings.of(giver)
    numbers = tuple(dict.fromkeys(command.numbers)) or tuple(held)
    missing = [number for number in numbers if number not in held]
    if missing or not numbers:
        what = f"claim {missing[0]}" if missing else "anything"
        raise Refusal("CLAIM_NOT_FOUND", f"{giver!r} does not hold {what}; list what it holds")
    if taker in tables.tombstones:
        raise Refusal("OWNER_RELEASED", f"{taker!r} was released; hand over to another owner")
    if taker != giver:
        if len(tables.holdings.of(taker)) + len(numbers) > rules.owner_limit:
            message = f"{taker!r} would hold more than {rules.owner_limit} claims; release some of them first"
            raise Refusal("CLAIM_LIMIT_EXCEEDED", message, {"limit": str(rules.owner_limit)})
        _check_parting(giver, numbers, tables)
    return ClaimsTransferred(numbers, taker)


def transferred(event: ClaimsTransferred, claims: Table[ClaimRow], at: Moment) -> list[ClaimRow]:
    """Return the rows after a hand-over."""
    first = at.seq * NUMBERS_A_RECORD
    return [
        claims[number]._replace(owner=event.to_owner, token=first + offset, epoch=at.epoch, granted_now=at.now)
        for offset, number in enumerate(event.numbers)
    ]


def present(number: int, claims: Table[ClaimRow]) -> ClaimRow:
    """Return a claim; raises CLAIM_NOT_FOUND."""
    row = claims.get(number)
    if row is None:
        raise Refusal("CLAIM_NOT_FOUND", f"claim {number} is not held: it was released, or never granted")
    return row


def _check_parting(giver: str, numbers: Iterable[int], tables: ConflictTables) -> None:
    """Refuse a hand-over of what is incompatible with what the giver keeps."""
    handed, effort = set(numbers), Effort()
    for number in numbers:
        row = tables.claims[number]
        for other in map(tables.claims.__getitem__, tables.holdings.against(row.thing, row.mode, effort)):
            if other.owner == giver and other.number not in handed:
                message = (
                    f"claim {number} on {row.thing} is incompatible with claim {other.number} on {other.thing}, which "
                    f"{giver!r} keeps; hand over or release both"
                )
                raise Refusal("CLAIM_CONFLICT", message, {"claimId": str(other.number), "owner": giver})

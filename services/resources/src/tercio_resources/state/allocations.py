"""Allocations after their grant: released exactly once, or handed to another owner."""

from __future__ import annotations

from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_common.machine.table import Table
from tercio_resources.state import authority
from tercio_resources.state.commands import Release, Transfer
from tercio_resources.state.events import AllocationsReleased, AllocationsTransferred
from tercio_resources.state.rows import MOST_ITEMS, NUMBERS_A_RECORD, AllocationRow, Cause
from tercio_resources.state.rules import Rules
from tercio_resources.state.tables import ResourceTables


class Released(NamedTuple):
    """What a release did: how many allocations it ended, and which were not there."""

    released: int
    unknown: tuple[int, ...]


def release(command: Release, at: Moment, tables: ResourceTables, rules: Rules) -> Decision:
    """Decide a release; the reply is `Released`.

    Raises:
        Refusal: PERMISSION_DENIED.
    """
    numbers = dict.fromkeys(number for number in command.numbers if number in tables.allocations)
    unknown = tuple(number for number in command.numbers if number not in numbers)
    for owner in command.owners:
        numbers.update(dict.fromkeys(tables.holdings.of(owner)))
    for number in numbers:
        authority.check_holder(tables.allocations[number], at.principal, rules)
    barred = tuple(dict.fromkeys(owner for owner in command.owners if owner not in tables.tombstones))
    reply = Released(len(numbers), unknown)
    if not numbers and not barred:
        return Decision((), reply)
    known = zip(command.owners, command.agents, strict=bool(command.agents))
    agents = tuple(sorted({owner: agent for owner, agent in known if agent and tables.holdings.of(owner)}.items()))
    return Decision([AllocationsReleased(Cause.RELEASED, tuple(numbers), barred, agents)], reply)


def transfer(command: Transfer, at: Moment, tables: ResourceTables, rules: Rules) -> AllocationsTransferred:
    """Decide a hand-over.

    Raises:
        Refusal: ALLOCATION_NOT_FOUND, OWNER_RELEASED, RESOURCE_LIMIT_EXCEEDED, PERMISSION_DENIED.
    """
    held = tables.holdings.of(command.from_owner)
    numbers = tuple(dict.fromkeys(command.numbers)) or tuple(held)[:MOST_ITEMS]
    missing = [number for number in numbers if number not in held]
    if missing or not numbers:
        what = f"allocation {missing[0]}" if missing else "anything"
        raise Refusal("ALLOCATION_NOT_FOUND", f"{command.from_owner!r} does not hold {what}; list what it holds")
    for number in numbers:
        authority.check_holder(tables.allocations[number], at.principal, rules)
    if command.to_owner in tables.tombstones:
        raise Refusal("OWNER_RELEASED", f"{command.to_owner!r} was released; hand over to another owner")
    if command.to_owner != command.from_owner:
        _check_limits(command.to_owner, numbers, tables, rules)
    return AllocationsTransferred(numbers, command.to_owner)


def transferred(event: AllocationsTransferred, allocations: Table[AllocationRow], at: Moment) -> list[AllocationRow]:
    """Return the rows after a hand-over."""
    first = at.seq * NUMBERS_A_RECORD
    return [
        allocations[number]._replace(
            owner=event.to_owner,
            token=first + offset,
            epoch=at.epoch,
            granted_now=at.now,
            charged_now=at.now,
            charged=0,
            principal=at.principal,
        )
        for offset, number in enumerate(event.numbers)
    ]


def present(number: int, allocations: Table[AllocationRow]) -> AllocationRow:
    """Return an allocation; raises ALLOCATION_NOT_FOUND."""
    row = allocations.get(number)
    if row is None:
        raise Refusal("ALLOCATION_NOT_FOUND", f"allocation {number} is not held: it was released, or never granted")
    return row


def _check_limits(owner: str, numbers: tuple[int, ...], tables: ResourceTables, rules: Rules) -> None:
    held: dict[str, int] = {}
    for number in (*tables.holdings.of(owner), *numbers):
        for part in tables.allocations[number].lot.parts:
            held[part.dimension] = held.get(part.dimension, 0) + part.amount
    for dimension, limit in rules.owner_limits.items():
        if held.get(dimension, 0) > limit:
            message = f"{owner!r} would hold {held[dimension]} of {dimension}, and one owner may hold {limit}"
            raise Refusal("RESOURCE_LIMIT_EXCEEDED", message, {"dimension": dimension, "limit": str(limit)})

"""Who is to be served before whom, and what is granted: the rule of the conflicts service, by looking at every pair."""

from __future__ import annotations

from collections import Counter

from support.conflicts_machine import Driver, collide
from tercio_conflicts.state.commands import Acquire, Atomicity, Item
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.waiting import Ticket

FRESH = 2**63
"""Who just came stands behind everybody of its priority."""


def rank(ticket: Ticket, driver: Driver) -> tuple[int, int]:
    """Return where a call stands in the line; the lowest goes first."""
    return -(ticket.priority + (driver.now - ticket.since) // driver.rules.ageing), ticket.arrival


def holders_before(ticket: Ticket, driver: Driver) -> set[str]:
    """Return who holds what a call waits for."""
    items = list(ticket.command.items())
    return {row.owner for row in driver.rows() if any(collide(row, item) for item in items)}


def waits_for(ticket: Ticket, driver: Driver) -> set[str]:
    """Return the owners for whom a call waits."""
    found = holders_before(ticket, driver)
    items = list(ticket.command.items())
    for other in driver.session.waiting:
        if rank(other, driver) < rank(ticket, driver) and ticket.owner not in holders_before(other, driver):
            found |= {other.owner for one in items for two in other.command.items() if collide(one, two)}
    return found


def has_cycle(driver: Driver) -> bool:
    """Tell whether owners wait for each other."""
    edges: dict[str, set[str]] = {}
    for ticket in driver.session.waiting:
        edges.setdefault(ticket.owner, set()).update(waits_for(ticket, driver))
    reached = {owner: set(others) for owner, others in edges.items()}
    for _ in edges:
        for others in reached.values():
            others |= {far for other in list(others) for far in reached.get(other, ())}
    return any(owner in others for owner, others in reached.items())


def granted(command: Acquire, driver: Driver) -> list[bool]:
    """Return of each item whether it is to be granted to a call that just came."""
    items = list(command.items())
    place = (-command.terms.priority, FRESH)
    ahead = [
        (wanted, holders_before(ticket, driver))
        for ticket in driver.session.waiting
        if rank(ticket, driver) < place
        for wanted in ticket.command.items()
    ]
    taken: list[ClaimRow | Item] = list(driver.rows())
    verdicts = [False] * len(items)
    for group in groups(command):
        trial = list(taken)
        for index in group:
            item = items[index]
            held = Counter(each.owner for each in trial)[item.owner]
            is_free = item.owner not in driver.machine.tables.tombstones and held < driver.rules.owner_limit
            is_free &= not any(collide(item, other) for other in trial)
            is_free &= not any(collide(item, wanted) and item.owner not in holders for wanted, holders in ahead)
            if is_free:
                trial.append(item)
        if len(trial) == len(taken) + len(group):
            taken = trial
            for index in group:
                verdicts[index] = True
    return verdicts


def groups(command: Acquire) -> list[list[int]]:
    """Return the items that are granted together or not at all."""
    found: dict[object, list[int]] = {}
    for index, item in enumerate(command.items()):
        key = {Atomicity.ITEM: index, Atomicity.OWNER: item.owner, Atomicity.BATCH: ""}[command.atomicity]
        found.setdefault(key, []).append(index)
    return list(found.values())

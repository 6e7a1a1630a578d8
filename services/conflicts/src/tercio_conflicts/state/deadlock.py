"""Deadlock: calls that wait for each other in a cycle, and which of them is refused to end it.

An owner waits for another one if a call of it is blocked by what that one holds, or by a call of that one which goes
first. The victim of a cycle is the call with the lowest priority, as it was asked for; of those the youngest. What its
owner holds stays its own: it is told, releases, and starts over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from operator import itemgetter

from tercio_conflicts.state.commands import Item
from tercio_conflicts.state.grants import exclude
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.tables import ConflictTables
from tercio_conflicts.state.things import Thing
from tercio_conflicts.state.waiting import Ticket

Line = Sequence[tuple[int, Ticket, Item]]
"""Who waits for what overlaps a thing, by place."""
Owners = Set[str]


def victims(tables: ConflictTables, session: Session, now: int) -> list[Ticket]:
    """Return the calls whose refusal leaves no cycle."""
    graph = waits(tables, session, now)
    found: list[Ticket] = []
    while cycle := cycle_in(graph):
        victim = min(cycle, key=lambda ticket: (ticket.priority, -ticket.arrival))
        del graph[victim]
        found.append(victim)
    return found


def waits(tables: ConflictTables, session: Session, now: int) -> dict[Ticket, frozenset[str]]:
    """Return every call that waits, and the owners that it waits for; nothing when there can be no cycle.

    In the line everybody waits for who is before it, which alone is no cycle: somebody in it also holds what another
    one waits for. While nobody does, the line is not looked at.
    """
    line = session.waiting.in_line(now)
    holders = {ticket: _holders(ticket, tables) for ticket in line}
    holding = frozenset[str]().union(*holders.values())
    if holding.isdisjoint(ticket.owner for ticket in line):
        return {}
    places = {ticket: place for place, ticket in enumerate(line)}
    wanted = {item.thing for ticket in line for item in ticket.command.items()}
    lines = {thing: _line(thing, session, places) for thing in wanted}
    return {ticket: holders[ticket] | _before(ticket, places[ticket], lines, holders, holding) for ticket in line}


def _holders(ticket: Ticket, tables: ConflictTables) -> frozenset[str]:
    """Return who holds what a call waits for."""
    rows = (
        tables.claims[number]
        for item in ticket.command.items()
        for number in tables.holdings.against(item.thing, item.mode)
    )
    return frozenset(row.owner for row in rows if row.owner != ticket.owner)


def _line(thing: Thing, session: Session, places: Mapping[Ticket, int]) -> Line:
    """Return who waits for what overlaps a thing, in order."""
    found = ((places[ticket], ticket, item) for ticket, item in session.waiting.on(thing))
    return sorted(found, key=itemgetter(0))


def _before(
    ticket: Ticket, place: int, lines: Mapping[Thing, Line], holders: Mapping[Ticket, frozenset[str]], holding: Owners
) -> frozenset[str]:
    """Return who goes first of those in the line.

    Whoever wants the same thing for itself, and holds nothing that anybody waits for, waits for everybody before it
    for whom the call would: beyond it nobody need be looked at, and a thousand calls for one thing cost little.
    """
    found: set[str] = set()
    for item in dict.fromkeys(ticket.command.items()):
        line = lines[item.thing]
        for at in range(bisect_left(line, place, key=itemgetter(0)) - 1, -1, -1):
            _, other, wanted = line[at]
            if not exclude(item, wanted) or ticket.owner in holders[other]:
                continue
            found.add(other.owner)
            if wanted.thing == item.thing and wanted.mode is Mode.EXCLUSIVE and other.owner not in holding:
                break
    return frozenset(found)


def cycle_in(graph: Mapping[Ticket, frozenset[str]]) -> list[Ticket]:
    """Return the calls of one cycle; none when there is none."""
    edges: dict[str, dict[str, Ticket]] = {}
    for ticket, owners in graph.items():
        edges.setdefault(ticket.owner, {}).update(dict.fromkeys(sorted(owners), ticket))
    # Who waits for nobody that waits is in no cycle, and is left out until all are who remain.
    left = {owner: sum(other in edges for other in others) for owner, others in edges.items()}
    waiting_for: dict[str, list[str]] = {}
    for owner, others in edges.items():
        for other in others:
            waiting_for.setdefault(other, []).append(owner)
    free = [owner for owner, count in left.items() if not count]
    while free:
        gone = free.pop()
        del edges[gone]
        for owner in waiting_for.get(gone, ()):
            left[owner] -= 1
            if not left[owner]:
                free.append(owner)
    if not edges:
        return []
    path: dict[str, Ticket] = {}
    owner = next(iter(edges))
    while owner not in path:  # everybody who remains waits for somebody who remains, so the path comes back to itself
        following, path[owner] = next((other, ticket) for other, ticket in edges[owner].items() if other in edges)
        owner = following
    walked = list(path)
    return [path[each] for each in walked[walked.index(owner) :]]

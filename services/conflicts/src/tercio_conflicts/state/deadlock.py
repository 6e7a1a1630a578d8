"""Deadlock: calls that wait for each other in a cycle, and which of them is refused to end it.

An owner waits for another one if a call of it is blocked by what that one holds, or by a call of that one which goes
first. The victim of a cycle is the call with the lowest priority, as it was asked for; of those the youngest. What its
owner holds stays its own: it is told, releases, and starts over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tercio_conflicts.state.grants import Ledger
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.tables import ConflictTables
from tercio_conflicts.state.waiting import Ticket


def victims(tables: ConflictTables, session: Session, now: int) -> list[Ticket]:
    """Return the calls whose refusal leaves no cycle."""
    graph = dict(waits(tables, session, now))
    found: list[Ticket] = []
    while cycle := cycle_in(graph):
        victim = min(cycle, key=lambda ticket: (ticket.priority, -ticket.arrival))
        del graph[victim]
        found.append(victim)
    return found


def waits(tables: ConflictTables, session: Session, now: int) -> Iterator[tuple[Ticket, frozenset[str]]]:
    """Give every call that waits, and the owners that it waits for."""
    for ticket in session.waiting:
        place = session.waiting.place_of(ticket.command, now)
        ledger = Ledger(tables, session, session.rules, place=place, now=now)
        owners = (blocker.owner for item in ticket.command.items() for blocker in ledger.blockers(item))
        yield ticket, frozenset(owners)


def cycle_in(graph: Mapping[Ticket, frozenset[str]]) -> list[Ticket]:
    """Return the calls of one cycle; none when there is none."""
    edges: dict[str, dict[str, Ticket]] = {}
    for ticket, owners in graph.items():
        edges.setdefault(ticket.owner, {}).update(dict.fromkeys(sorted(owners), ticket))
    # Who waits for nobody that waits is in no cycle, and is left out until all are who remain.
    while free := [owner for owner, others in edges.items() if others.keys().isdisjoint(edges)]:
        for owner in free:
            del edges[owner]
    if not edges:
        return []
    path: dict[str, Ticket] = {}
    owner = next(iter(edges))
    while owner not in path:  # everybody who remains waits for somebody who remains, so the path comes back to itself
        following, path[owner] = next((other, ticket) for other, ticket in edges[owner].items() if other in edges)
        owner = following
    walked = list(path)
    return [path[each] for each in walked[walked.index(owner) :]]

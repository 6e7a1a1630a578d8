"""The situation at one moment, from the tables and from what the leader was told."""

from __future__ import annotations

from collections.abc import Iterator

from tercio_common.machine.protocol import Moment
from tercio_conflicts.state.board import LASTS_MS
from tercio_conflicts.state.effort import UNBOUNDED
from tercio_conflicts.state.grants import Ledger
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.situation import Situation, Wait
from tercio_conflicts.state.tables import ConflictTables


def situation(tables: ConflictTables, session: Session, at: Moment) -> Situation:
    """Return what detectors and strategies see."""
    work = tuple(session.board.work(at.now))
    rows = {row.number: row for row in tables.claims.values()}
    return Situation(
        now=at.now,
        wall=at.wall,
        claims=rows,
        overlapping=tuple(_plans_to_collide(tables, rows)),
        waits=tuple(_waits(tables, session, at.now)),
        work=work,
        capacities=session.board.capacities(at.now),
        decisions={row.number: row for row in tables.disputes.decisions.values()},
        disagreements=tuple(tables.disputes.disagreements.all()),
        precedents=tuple(sorted(tables.disputes.precedents.values())),
        informed=session.board.is_told(at.now) or at.now - session.listening_since(at.now) >= LASTS_MS,
        patience=tables.disputes.rules.patience,
        agents_of={each.owner: each.agent_id for each in work if each.owner and each.agent_id},
    )


def _plans_to_collide(tables: ConflictTables, rows: dict[int, ClaimRow]) -> Iterator[tuple[ClaimRow, ClaimRow]]:
    """Give pairs of claims of several owners that mean to edit things that overlap."""
    for number, row in sorted(rows.items()):
        if row.mode is not Mode.INTENT:
            continue
        for other_number in tables.holdings.on(row.thing):
            other = rows[other_number]
            if other_number > number and other.mode is Mode.INTENT and other.owner != row.owner:
                yield row, other


def _waits(tables: ConflictTables, session: Session, now: int) -> Iterator[Wait]:
    for ticket in session.waiting:
        if now - ticket.since < tables.disputes.rules.patience:
            continue
        place = session.waiting.place_of(ticket.command, now)
        ledger = Ledger(tables, session, session.rules, place=place, now=now, effort=UNBOUNDED)
        for item in ticket.command.items():
            holders = tuple(blocker.number for blocker in ledger.blockers(item) if blocker.number)
            if holders:
                yield Wait(ticket.owner, item.thing, ticket.priority, ticket.since, holders)

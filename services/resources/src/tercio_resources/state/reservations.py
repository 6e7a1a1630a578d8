"""Reservations: room in a window that begins later, for who claims it then.

What is reserved at once never exceeds what a pool may grant. From a lead before the start nothing is granted to others
that the reservation would miss. Leases can be renewed without end, so that alone would keep no promise: a grace before
the start, holders are asked to release what is still missing, the lowest priority and the newest first, and are revoked
at the start. What was claimed is asked back in the same way before the window's end. Both rest on wall time, in which
windows are given; what is not claimed in time lapses.
"""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_resources.state import authority, costs, grants
from tercio_resources.state.events import AllocationsGranted, Event, RevocationsRequested
from tercio_resources.state.pools import present as pool_of
from tercio_resources.state.reservation_rows import (
    CancelReservation,
    ClaimReservation,
    EndCause,
    Phase,
    ReservationAdvanced,
    ReservationClaimed,
    ReservationCommand,
    ReservationEvent,
    ReservationMade,
    ReservationRow,
    ReservationsEnded,
    Reserve,
    Window,
)
from tercio_resources.state.reserved import amount_of
from tercio_resources.state.rows import (
    MOST_ITEMS,
    NUMBERS_A_RECORD,
    AllocationRow,
    Amount,
    Bound,
    Gap,
    Lot,
    Part,
    PoolRow,
    Spec,
)
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session
from tercio_resources.state.shortages import refusal
from tercio_resources.state.tables import ResourceTables


def decide(
    command: ReservationCommand, at: Moment, *, tables: ResourceTables, session: Session, rules: Rules
) -> Decision:
    """Decide what is asked about reservations; the reply is the row, of a claim that of the allocation.

    Raises:
        Refusal: see the contract.
    """
    match command:
        case Reserve():
            return _reserve(command, at, tables, rules)
        case ClaimReservation():
            return _claim(command, at, tables=tables, session=session, rules=rules)
        case CancelReservation(number=number):
            row = present(number, tables)
            authority.check_holder(row, at.principal, rules)
            if row.allocation:
                message = f"reservation {number} was claimed; release allocation {row.allocation}"
                raise Refusal("RESERVATION_CLAIMED", message, {"allocation": str(row.allocation)})
            return Decision([ReservationsEnded(EndCause.CANCELLED, (number,))], row)


def apply(event: ReservationEvent, at: Moment, tables: ResourceTables, rules: Rules) -> None:
    """Change the tables by what happened."""
    match event:
        case ReservationMade():
            tables.reservations.put(made(event, at, rules))
        case ReservationAdvanced(number=number, phase=phase):
            row = tables.reservations[number]
            due = _due(row.window.claim_by, at) if phase is Phase.ROOM_MADE else 0
            tables.reservations.put(row._replace(phase=phase, due=due))
        case ReservationClaimed(number=number):
            row = tables.reservations[number]
            due = _due(row.window.end - rules.grace, at)
            claimed = row._replace(phase=Phase.CLAIMED, due=due, allocation=at.seq * NUMBERS_A_RECORD)
            tables.reservations.put(claimed)
        case ReservationsEnded(numbers=numbers):
            for number in numbers:
                tables.reservations.delete(number)


def made(event: ReservationMade, at: Moment, rules: Rules) -> ReservationRow:
    """Return the row of a new reservation."""
    due = _due(event.window.start - rules.grace, at)
    return ReservationRow(at.seq, event.owner, event.lot, event.window, at.wall, due=due, principal=at.principal)


def present(number: int, tables: ResourceTables) -> ReservationRow:
    """Return a reservation; raises RESERVATION_NOT_FOUND."""
    row = tables.reservations.get(number)
    if row is None:
        message = f"there is no reservation {number}: it lapsed, was cancelled or used, or never was"
        raise Refusal("RESERVATION_NOT_FOUND", message)
    return row


def advance(at: Moment, tables: ResourceTables, rules: Rules) -> list[Event]:
    """Decide what is due of one reservation."""
    number = tables.reserved.pop(at.now)
    if number is None:
        return []
    tables.reserved.set(number, at.now + 1)  # should it be undone, it is looked at again
    row = tables.reservations[number]
    window = row.window
    if not row.allocation and at.wall >= window.claim_by:
        return [ReservationsEnded(EndCause.LAPSED, (number,))]
    if row.phase is Phase.BOOKED and at.wall >= window.start - rules.grace:
        return [*_make_room(row, at, tables), ReservationAdvanced(number, Phase.ROOM_MADE)]
    if row.phase is Phase.CLAIMED and at.wall >= window.end - rules.grace:
        return [*_ask((row.allocation,), window.end, at, tables), ReservationAdvanced(number, Phase.ENDING)]
    due = {
        Phase.BOOKED: window.start - rules.grace,
        Phase.ROOM_MADE: window.claim_by,
    }.get(row.phase, window.end - rules.grace)
    tables.reserved.set(number, max(at.now + 1, _due(due, at)))  # the wall clock is behind
    return []


def _reserve(command: Reserve, at: Moment, tables: ResourceTables, rules: Rules) -> Decision:
    if command.start < at.wall + rules.grace:
        message = f"start_time must be at least {rules.grace} ms ahead, so that holders can be asked to make room"
        raise Refusal("INVALID_ARGUMENT", message)
    grants.check_units(command.spec, tables.by_dimension)
    claim_by = min(command.end, command.start + (command.claim_within or rules.reservation_claim))
    window = Window(command.start, command.end, claim_by)
    parts: list[Part] = []
    gaps: list[Gap] = []
    for amount in command.spec.amounts:
        limit = rules.owner_limits.get(amount.dimension)
        if limit is not None and amount.amount > limit:
            message = f"one owner may hold {limit} of {amount.dimension}; reserve less"
            raise Refusal("RESOURCE_LIMIT_EXCEEDED", message)
        found = _placed(amount, command.spec, window, tables)
        (parts if isinstance(found, Part) else gaps).append(found)  # type: ignore[arg-type]
    if gaps:
        raise refusal("too much is reserved in that window", gaps)
    spec = command.spec
    lot = Lot(spec.tenant, spec.priority, spec.ttl, tuple(parts), task_type=spec.task_type)
    event = ReservationMade(command.owner, lot, window)
    return Decision([event], made(event, at, rules), creates_work=True)


def _placed(amount: Amount, spec: Spec, window: Window, tables: ResourceTables) -> Part | Gap:
    """Return from which pool an amount will come: the one with the least left for the window in which it fits."""
    pools = grants.granting(amount.dimension, spec.pool_labels, tables)
    if not pools:
        raise Refusal("POOL_NOT_FOUND", f"no pool has the dimension {amount.dimension!r} and these labels")
    rooms = sorted((_room(pool, window, tables), pool.pool_id) for pool in pools)
    pool_id = next((name for room, name in rooms if room >= amount.amount), "")
    if pool_id:
        return Part(pool_id, amount.dimension, amount.amount)
    most, name = rooms[-1]
    return Gap(amount.dimension, amount.amount, Bound(max(0, most), "pool", max(0, most)), name)


def _room(pool: PoolRow, window: Window, tables: ResourceTables) -> int:
    if pool.fenced:
        return 0
    return pool.capacity - pool.reserve - tables.reserved.peak(pool.pool_id, window.start, window.end)


def _claim(
    command: ClaimReservation, at: Moment, *, tables: ResourceTables, session: Session, rules: Rules
) -> Decision:
    row = present(command.number, tables)
    if row.owner != command.owner:
        raise Refusal("RESERVATION_NOT_FOUND", f"reservation {row.number} is not for {command.owner!r}")
    if row.allocation:
        message = f"reservation {row.number} was claimed already"
        raise Refusal("RESERVATION_CLAIMED", message, {"allocation": str(row.allocation)})
    if not row.window.start <= at.wall < row.window.claim_by:
        when = "begins later" if at.wall < row.window.start else "was to be claimed earlier"
        raise Refusal("RESERVATION_NOT_DUE", f"reservation {row.number} {when}; claim it within its time")
    if row.owner in tables.tombstones:
        raise Refusal("OWNER_RELEASED", f"{row.owner!r} was released; reserve for another owner")
    ledger = grants.Ledger(tables, session, rules, at)
    gaps = [gap for part in row.lot.parts if (gap := ledger.gap_of_claim(row, part)) is not None]
    if gaps:
        raise refusal(f"reservation {row.number} cannot be granted yet", gaps)
    lot = row.lot._replace(rate=costs.rate_of(row.lot.parts, tables.prices))
    granted = AllocationsGranted((lot,), (row.owner,))
    (allocation,) = grants.rows_of(granted, at)
    costs.check_limit(allocation, at.now, tables)
    return Decision([granted, ReservationClaimed(row.number)], allocation, creates_work=True)


def _make_room(row: ReservationRow, at: Moment, tables: ResourceTables) -> list[RevocationsRequested]:
    """Ask who holds what will be missing at the start; emergencies and what was claimed stay."""
    chosen: dict[int, None] = {}
    for part in row.lot.parts:
        missing = _missing(pool_of(part.pool_id, tables.pools), row.window.start, tables)
        for holder in _holders(part.pool_id, tables):
            if missing <= 0:
                break
            chosen[holder.number] = None
            missing -= sum(each.amount for each in holder.lot.parts if each.pool_id == part.pool_id)
    return _ask(tuple(chosen), row.window.start, at, tables)


def _missing(pool: PoolRow, start: int, tables: ResourceTables) -> int:
    """Return how much more than there is will be granted or claimable at that time."""
    reservations = [each for each in tables.reserved.of(pool.pool_id) if each.window.start <= start < each.window.end]
    claimed = sum(
        part.amount
        for number in tables.reserved.claims
        for part in tables.allocations[number].lot.parts
        if part.pool_id == pool.pool_id
    )
    others = tables.holdings.granted.get(pool.pool_id, 0) - claimed
    needed = sum(amount_of(each, pool.pool_id) for each in reservations)
    return others + needed - (pool.capacity - pool.reserve)


def _holders(pool_id: str, tables: ResourceTables) -> list[AllocationRow]:
    """Return who may be asked, who was asked already first, then by priority, the newest first."""
    found = [
        row
        for row in tables.allocations.values()
        if row.number not in tables.reserved.claims
        and not row.lot.emergency
        and any(part.pool_id == pool_id for part in row.lot.parts)
    ]
    return sorted(found, key=lambda row: (not row.revoke_at, row.lot.priority, -row.number))


def _ask(numbers: tuple[int, ...], until: int, at: Moment, tables: ResourceTables) -> list[RevocationsRequested]:
    """Ask holders to release by that wall time; who was asked for an earlier time stays at that."""
    revoke_at = max(at.now + 1, _due(until, at))
    late = tuple(number for number in numbers if not 0 < tables.allocations[number].revoke_at <= revoke_at)[:MOST_ITEMS]
    return [RevocationsRequested(late, revoke_at)] if late else []


def _due(wall: int, at: Moment) -> int:
    """Return the fleet time of a wall time, as of now; from 1, because 0 stands for never."""
    return max(1, at.now + wall - at.wall)

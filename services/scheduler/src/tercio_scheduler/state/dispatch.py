"""Offering ready tasks to agents with room.

The first tasks of all lines that some free agent could run are merged by effective priority, then by place in the
queue. The cost is that of the tasks offered plus that of the classes that wait; the backlog's length does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import events, transitions
from tercio_scheduler.state.assignment.protocol import Seat, Strategy
from tercio_scheduler.state.commands import AgentOffers, Dispatch, Dispatched
from tercio_scheduler.state.lines import Line
from tercio_scheduler.state.rows import Instant, Offer, Requirement, TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import POSITION_BITS, SchedulerTables

_Pool = list[tuple[float, str, Seat]]


class _Head(NamedTuple):
    """The next task of one line, ordered by who comes first; `position` is unique, so nothing after it is compared."""

    priority: int
    position: int
    row: TaskRow
    rest: Iterator[TaskRow]
    requirement: Requirement
    pool: _Pool


def decide(
    tables: SchedulerTables, command: Dispatch, at: Moment, session: SchedulerSession, *, strategy: Strategy
) -> Decision:
    """Choose tasks and agents."""
    index = tables.index
    if not index.ready:
        return Decision((), Dispatched())
    by_agent = index.by_agent
    # Whose lease has ended loses its attempts in steps, and must not be given them again in between.
    lost_before = at.now - tables.limits.attempt_lease_ms
    seats = [
        Seat(link, held=held, room=room)
        for link, room in session.free(by_agent)
        if not (held := len(by_agent.get(link.agent_id, ()))) or session.renewed_at(link.agent_id) >= lost_before
    ]
    if not seats:
        return Decision((), Dispatched())
    more = _hand_out(tables, _heads(tables, seats, at, strategy), at, strategy=strategy, limit=command.limit)
    offers = tuple([_offers(seat, spent=index.spent) for seat in seats if seat.rows])
    chosen = [
        events.AttemptsOffered(
            offer.agent_id,
            offer.instance_id,
            session.agents[offer.agent_id].concurrency,
            tuple([row.task_id for row in offer.rows]),
            tuple(offer.numbers),
        )
        for offer in offers
    ]
    return Decision(chosen, Dispatched(offers, more))


def apply(tables: SchedulerTables, event: events.AttemptsOffered, at: Moment) -> None:
    """Note the attempts."""
    offer = Offer(at.epoch, event.agent_id, event.instance_id, event.concurrency, at.seq, at.wall)
    entered = Instant(at.now, at.wall)
    get, put, offered = tables.tasks.__getitem__, tables.tasks.put, transitions.offered
    for task_id, number in zip(event.task_ids, event.numbers, strict=True):
        put(offered(get(task_id), offer, entered=entered, number=number))


def _offers(seat: Seat, *, spent: int) -> AgentOffers:
    # An id may be used anew after its task was evicted, and no leader may mint the same attempt twice. What was evicted
    # before this leader took over needs no thought: its epoch tells those attempts apart.
    numbers = [(row.number or spent) + 1 for row in seat.rows]
    return AgentOffers(seat.link.agent_id, seat.link.instance_id, seat.rows, numbers)


def _heads(tables: SchedulerTables, seats: list[Seat], at: Moment, strategy: Strategy) -> list[_Head]:
    heads = []
    pools: dict[Requirement, _Pool] = {}
    for (requirement, _), line in tables.index.ready.lines():
        pool = pools.get(requirement)
        if pool is None:
            pool = pools[requirement] = _pool(seats, requirement, strategy)
        rest = _committed(line, at.committed)
        row = next(rest, None) if pool else None
        if row is not None:
            priority = -tables.index.ready.effective_priority(row, at.now)
            heads.append(_Head(priority, row.position, row, rest, requirement, pool))
    heapify(heads)
    return heads


def _pool(seats: list[Seat], requirement: Requirement, strategy: Strategy) -> _Pool:
    pool = [
        (strategy.rank(seat, requirement), seat.link.agent_id, seat) for seat in seats if seat.link.fits(requirement)
    ]
    heapify(pool)
    return pool


def _committed(line: Line, committed: int) -> Iterator[TaskRow]:
    newest = (committed + 1) << POSITION_BITS
    for row in line:
        if row.position >= newest:
            return  # positions rise with records, so everything behind it is younger still
        if row.ready.seq <= committed:
            yield row


def _hand_out(tables: SchedulerTables, heads: list[_Head], at: Moment, *, strategy: Strategy, limit: int) -> bool:
    effective = tables.index.ready.effective_priority
    while heads:
        _, _, row, rest, requirement, pool = heads[0]
        seat = _best(pool, requirement, strategy)
        if seat is None:
            heappop(heads)
            continue
        if not limit:
            return True
        limit -= 1
        seat.rows.append(row)
        seat.held += 1
        seat.room -= 1
        following = next(rest, None)
        if following is None:
            heappop(heads)
        else:
            priority = -effective(following, at.now)
            heapreplace(heads, _Head(priority, following.position, following, rest, requirement, pool))
    return False


def _best(pool: _Pool, requirement: Requirement, strategy: Strategy) -> Seat | None:
    while pool:
        rank, agent_id, seat = pool[0]
        if not seat.room:
            heappop(pool)
            continue
        present = strategy.rank(seat, requirement)
        if present == rank:
            return seat
        heapreplace(pool, (present, agent_id, seat))
    return None

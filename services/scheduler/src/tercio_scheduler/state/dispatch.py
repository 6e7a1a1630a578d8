"""Offering ready tasks to agents with room.

The first tasks of all lines that some free agent could run are merged by effective priority, then by place in the
queue. The cost is that of the tasks offered plus that of the classes that wait; the backlog's length does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from heapq import heapify, heappop, heapreplace
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import events, system_tasks, transitions
from tercio_scheduler.state.assignment.protocol import Seat, Strategy
from tercio_scheduler.state.commands import AgentOffers, Dispatch, Dispatched
from tercio_scheduler.state.lines import Line
from tercio_scheduler.state.rows import SYSTEM_TYPES, Instant, Offer, Requirement, TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import POSITION_BITS, SchedulerTables

_MOST_RANKED: Final = 20_000
"""Agents ranked in one decision, over all requirements: about 30 ms; the rest waits for the next one."""


class _Pool:
    """The free agents that could run tasks of one requirement, ranked when the first such task's turn comes."""

    __slots__ = ("able", "ranked")

    def __init__(self, able: Set[str]) -> None:
        self.able = able
        self.ranked: list[tuple[float, str, Seat]] | None = None


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
    if index.system_ready:
        first = system_tasks.offers(tables, session, at, limit=command.limit).of(session, spent=index.spent)
        if first:
            return _decision(first, session, more=True)
    by_agent = index.by_agent
    # Whose lease has ended loses its attempts in steps, and must not be given them again in between.
    lost_before = at.now - tables.limits.attempt_lease_ms
    seats = [
        Seat(link, held=held, room=room)
        for link, room in session.free(by_agent)
        if not (held := len(by_agent.get(link.agent_id, ())))
        or session.renewed_at(link.agent_id, now=at.now) >= lost_before
    ]
    if not seats:
        return Decision((), Dispatched())
    free = {seat.link.agent_id: seat for seat in seats}
    more = _hand_out(tables, _heads(tables, session, free, at), free, at, strategy=strategy, limit=command.limit)
    offers = tuple([_offers(seat, spent=index.spent) for seat in seats if seat.rows])
    return _decision(offers, session, more=more)


def _decision(offers: tuple[AgentOffers, ...], session: SchedulerSession, *, more: bool) -> Decision:
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


def _heads(tables: SchedulerTables, session: SchedulerSession, free: dict[str, Seat], at: Moment) -> list[_Head]:
    heads = []
    names = set(free)
    pools: dict[Requirement, _Pool | None] = {}
    for (requirement, _), line in tables.index.ready.lines():
        if requirement in pools:
            pool = pools[requirement]
        else:
            # System tasks are offered by their own rule.
            able = frozenset() if requirement.task_type.startswith(SYSTEM_TYPES) else session.able(requirement)
            pool = pools[requirement] = None if able.isdisjoint(names) else _Pool(able)
        if pool is None:
            continue
        rest = _committed(line, at.committed)
        row = next(rest, None)
        if row is not None:
            priority = -tables.index.ready.effective_priority(row, at.now)
            heads.append(_Head(priority, row.position, row, rest, requirement, pool))
    heapify(heads)
    return heads


def _ranked(
    pool: _Pool, free: dict[str, Seat], requirement: Requirement, strategy: Strategy
) -> list[tuple[float, str, Seat]]:
    names = pool.able & free.keys()
    ranked = [(strategy.rank(seat, requirement), name, seat) for name in names if (seat := free[name]).room]
    heapify(ranked)
    return ranked


def _committed(line: Line, committed: int) -> Iterator[TaskRow]:
    newest = (committed + 1) << POSITION_BITS
    for row in line:
        if row.position >= newest:
            return  # positions rise with records, so everything behind it is younger still
        if row.ready.seq <= committed:
            yield row


def _hand_out(
    tables: SchedulerTables,
    heads: list[_Head],
    free: dict[str, Seat],
    at: Moment,
    *,
    strategy: Strategy,
    limit: int,
) -> bool:
    """Give tasks to agents, the first ones first; return whether a bound ended it."""
    to_rank = _MOST_RANKED
    effective = tables.index.ready.effective_priority
    while heads:
        priority, _, row, rest, requirement, pool = heads[0]
        if pool.ranked is None:
            if to_rank <= 0:
                return True
            pool.ranked = _ranked(pool, free, requirement, strategy)
            to_rank -= len(pool.ranked)
        seat = _best(pool.ranked, requirement, strategy)
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
            if following.ready is not row.ready:  # tasks of one frame became ready, and age, together
                priority = -effective(following, at.now)
            heapreplace(heads, _Head(priority, following.position, following, rest, requirement, pool))
    return False


def _best(ranked: list[tuple[float, str, Seat]], requirement: Requirement, strategy: Strategy) -> Seat | None:
    while ranked:
        rank, agent_id, seat = ranked[0]
        if not seat.room:
            heappop(ranked)
            continue
        present = strategy.rank(seat, requirement)
        if present == rank:
            return seat
        heapreplace(ranked, (present, agent_id, seat))
    return None

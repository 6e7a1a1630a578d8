"""Demand of pools, metered from what the scheduler counts in its queues.

A queue is all tasks that ask the same of their agent; a pool serves those that each of its agents could run. What
several pools serve is shared out by how many slots they may have at most, so that not each of them grows for all of it.
Counts only rise while the scheduler's leader leads; what happened is their differences, and when a new leader counts
anew, all that it counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final, NamedTuple, TypeAlias

from tercio_scaling.state.rows import PoolRow
from tercio_scaling.state.sightings import Demand

Key: TypeAlias = tuple[str, tuple[tuple[str, int], ...], str]
_RECENT: Final = 50
"""Ends from which the mean is drawn: its error is then about a seventh of how far single ones differ."""
_SPANS: Final = 16
"""A window is kept in so many parts, so that a busy pool's memory is bounded."""


_ROUNDING: Final = 1e-6
"""Parts of a whole may add up to a hair more than it."""


class QueueSeen(NamedTuple):
    """One queue. Times in ms; the counts rise.

    Attributes:
        task_type: the handler that the agent must have.
        capabilities: (name, level) that it must have at least, sorted by name.
        target: the only agent that may run them; empty for any.
        waiting: tasks that wait for an agent and for nothing else.
        admitting: tasks that need claims or resources, and wait for these or for an agent.
        oldest_wait: how long the first of all that wait has waited.
        accepted: tasks that were accepted.
        succeeded: attempts that succeeded.
        ran: for how long those ran, added up.
        responded: how long it took from acceptance to success, added up.
    """

    task_type: str
    capabilities: tuple[tuple[str, int], ...] = ()
    target: str = ""
    waiting: int = 0
    admitting: int = 0
    oldest_wait: int = 0
    accepted: int = 0
    succeeded: int = 0
    ran: int = 0
    responded: int = 0

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.task_type, self.capabilities, self.target


class LoadSeen(NamedTuple):
    """What one connected agent holds, whether it is given new work, and how much it runs at once."""

    agent_id: str
    held: int
    takes_work: bool
    slots: int = 1

    @property
    def has_room(self) -> bool:
        """Tell whether it would begin another task at once."""
        return self.takes_work and self.held < self.slots


class QueuesSeen(NamedTuple):
    """What the scheduler sees at one moment; it has counted for `counted_for` ms."""

    counted_for: int
    queues: tuple[QueueSeen, ...] = ()
    loads: tuple[LoadSeen, ...] = ()


class _Ends(NamedTuple):
    """Attempts that succeeded in a part of a window, how long they ran and responded together, in ms."""

    since: int
    ended: float
    ran: float
    responded: float


@dataclass(slots=True)
class _Meter:
    """What is kept of one pool."""

    arrived: float = 0.0
    mean_run: int = 0
    ends: deque[_Ends] = field(default_factory=deque)
    waiting: float = 0.0
    admitting: float = 0.0
    oldest_wait: int = 0
    oldest_admitting: int = 0


class DemandMeter:
    """Demand of every pool, by what one leader has seen."""

    def __init__(self) -> None:
        self._counted_for = 0
        self._counts: dict[Key, QueueSeen] = {}
        self._meters: dict[str, _Meter] = {}
        self._busy_since: dict[str, int] = {}
        self.loads: dict[str, LoadSeen] = {}
        """Of every connected agent, by id."""
        self._first = True

    def take(self, seen: QueuesSeen, pools: Sequence[PoolRow], now: int) -> None:
        """Note what is seen at `now`, in ms."""
        if seen.counted_for < self._counted_for:
            self._counts.clear()
        self._counted_for = seen.counted_for
        known = {row.pool_id for row in pools}
        self._meters = {pool_id: meter for pool_id, meter in self._meters.items() if pool_id in known}
        for row in pools:
            meter = self._meters.setdefault(row.pool_id, _Meter())
            meter.waiting = meter.admitting = 0.0
            meter.oldest_wait = meter.oldest_admitting = 0
        for queue in seen.queues:
            self._take_queue(queue, [row for row in pools if serves(row, queue)], now)
        self._first = False
        self.loads = {load.agent_id: load for load in seen.loads}
        self._busy_since = {load.agent_id: self._busy_since.get(load.agent_id, now) for load in seen.loads if load.held}

    def demand(self, row: PoolRow, now: int, *, agents: Iterable[str] = ()) -> Demand:
        """Return the demand of a pool that has these agents; nothing before anything was seen.

        What needs claims or resources is asked for only once an agent has room for it. So while one has, it is those
        that it waits for, and another agent would be of no use.
        """
        meter = self._meters.get(row.pool_id)
        if meter is None:
            return Demand()
        window = max(1, row.pool.window)
        has_room = any(self.loads[each].has_room for each in agents if each in self.loads)
        waiting, oldest_wait = meter.waiting, meter.oldest_wait
        if not has_room:
            waiting, oldest_wait = waiting + meter.admitting, max(oldest_wait, meter.oldest_admitting)
        return Demand(
            waiting=ceil(waiting - _ROUNDING),
            oldest_wait=oldest_wait,
            mean_run=_mean_run(meter),
            response=_response(meter.ends, now - window, now + 1),
            response_before=_response(meter.ends, now - 2 * window, now - window),
            arrived=int(meter.arrived),
        )

    def work(self, agent_id: str, now: int) -> int:
        """Return for how long an agent has held something without a pause, in ms: at most so much would be lost."""
        return now - self._busy_since.get(agent_id, now)

    def _take_queue(self, queue: QueueSeen, pools: list[PoolRow], now: int) -> None:
        before = self._counts.get(queue.key, QueueSeen(queue.task_type))
        self._counts[queue.key] = queue
        whole = sum(_most_slots(row) for row in pools)
        for row in pools:
            meter, part = self._meters[row.pool_id], _most_slots(row) / whole
            meter.waiting += queue.waiting * part
            meter.admitting += queue.admitting * part
            # What was counted before this leader looked did not arrive, or end, while it did.
            meter.arrived += 0 if self._first else (queue.accepted - before.accepted) * part
            if queue.waiting:
                meter.oldest_wait = max(meter.oldest_wait, queue.oldest_wait)
            if queue.admitting:
                meter.oldest_admitting = max(meter.oldest_admitting, queue.oldest_wait)
            if (count := queue.succeeded - before.succeeded) > 0:
                since = now - 2 * row.pool.window - 1 if self._first else now
                ran, responded = queue.ran - before.ran, queue.responded - before.responded
                _note_ends(meter, row.pool.window, _Ends(since, count * part, ran * part, responded * part))


def serves(row: PoolRow, queue: QueueSeen) -> bool:
    """Tell whether each agent of the pool could run what is in the queue.

    What only one agent may run is no reason for another one.
    """
    if queue.target or (row.task_types and queue.task_type not in row.task_types and "*" not in row.task_types):
        return False
    levels = dict(row.pool.capabilities)
    return all(levels.get(name, 0) >= level for name, level in queue.capabilities)


def _most_slots(row: PoolRow) -> int:
    return row.pool.most * row.pool.slots


def _note_ends(meter: _Meter, window: int, ends: _Ends) -> None:
    """Add ends to the present part of the window, and forget those of which nobody is told any more."""
    kept = meter.ends
    if kept and ends.since < kept[-1].since + max(1, window // _SPANS):
        last = kept[-1]
        kept[-1] = _Ends(last.since, last.ended + ends.ended, last.ran + ends.ran, last.responded + ends.responded)
    else:
        kept.append(ends)
    while kept[0].since < ends.since - 2 * window and sum(each.ended for each in kept) - kept[0].ended >= _RECENT:
        kept.popleft()
    while len(kept) > 4 * _SPANS:
        kept.popleft()


def _mean_run(meter: _Meter) -> int:
    """Return the mean of the last ends; it stays known when nothing ends for a while."""
    count = ran = 0.0
    for each in reversed(meter.ends):
        count, ran = count + each.ended, ran + each.ran
        if count >= _RECENT:
            break
    return round(ran / count) if count else 0


def _response(ends: Iterable[_Ends], since: int, until: int) -> int:
    """Return the mean response of what ended in a time; 0 when nothing did."""
    found = [each for each in ends if since <= each.since < until]
    count = sum(each.ended for each in found)
    return round(sum(each.responded for each in found) / count) if count else 0

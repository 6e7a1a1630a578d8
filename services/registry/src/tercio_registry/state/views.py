"""What readers see: the state derived from row, epoch and session, and counts of it; the order of listings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import Moment
from tercio_registry.state.agents import AgentRow, Ailment, Health, Membership
from tercio_registry.state.session import Session
from tercio_registry.state.vitals import Vitals


class State(IntEnum):
    """An agent's state as shown; the numbers are those of the contract."""

    HEALTHY = 1
    DEGRADED = 2
    UNHEALTHY = 3
    GONE = 4
    UNCONFIRMED = 5
    DEREGISTERED = 6


PRESENT_STATES = frozenset({State.HEALTHY, State.DEGRADED, State.UNHEALTHY, State.UNCONFIRMED})

_ANSWERING = frozenset({State.HEALTHY, State.DEGRADED})
_HEALTH_OF_A_REASON = 25
"""Percent of health that one reason costs: what is told of healthy agents and what of ailing ones never meet."""

_OF_HEALTH = {Health.HEALTHY: State.HEALTHY, Health.DEGRADED: State.DEGRADED, Health.UNHEALTHY: State.UNHEALTHY}
_UNCONFIRMED = "the present leader has not heard the agent yet"
_REGULARITY = {
    Health.HEALTHY: "",
    Health.DEGRADED: "a heartbeat was missed",
    Health.UNHEALTHY: "two heartbeats are missing",
}
_AILMENTS = {
    Ailment.HIGH_ERROR_RATE: "too many of its attempts fail",
    Ailment.MEMORY_EXHAUSTED: "hardly any memory is left",
    Ailment.DISK_EXHAUSTED: "hardly any disk space is left",
    Ailment.QUEUE_FULL: "its queue is full",
    Ailment.DEAF: "it does not answer on its Work stream, and gets no new work",
    Ailment.RESERVATION_LOST: "what was reserved for it is gone",
    Ailment.SLOW: "it takes much longer than it did, or than others do",
}


def recorded_state(row: AgentRow) -> State:
    """Return the state that the journal tells, which the leader that recorded it shows."""
    if row.membership is Membership.ACTIVE:
        return _OF_HEALTH[row.health]
    return State.GONE if row.membership is Membership.GONE else State.DEREGISTERED


def why(row: AgentRow, state: State) -> str:
    """Return why an agent in that state is as it is, for people."""
    heard = _UNCONFIRMED if state is State.UNCONFIRMED else _REGULARITY[row.regularity]
    return "; ".join(part for part in (heard, *(_AILMENTS[each] for each in row.ailments), _duty(row)) if part)


def state_of(row: AgentRow, epoch: Epoch) -> State:
    """Return the state that the leader of `epoch` shows."""
    if row.active and not row.confirmed_by(epoch.generation, epoch.revision):
        return State.UNCONFIRMED
    return recorded_state(row)


def shown_state(row: AgentRow, at: Moment, session: Session) -> State:
    """Return the state that is shown at that moment: who has not renewed within its TTL is not healthy.

    A leader that was stopped for so long charges nobody with it, and knows of nobody whether it is still alive.
    """
    state = state_of(row, at.epoch)
    return State.UNCONFIRMED if state is State.HEALTHY and session.is_unheard(row, at.now) else state


class Status(NamedTuple):
    """How well an agent is and how busy, in percent, at wall time `wall` in ms; see the contract."""

    available: bool = False
    health: int = 0
    load: int = 100
    wall: int = 0


class AgentView(NamedTuple):
    """An agent as shown.

    Attributes:
        renewed_wall: wall time in ms, None while nothing was heard.
        why: for people.
        active_attempts: that it was running at its last renewal, 0 while nothing was heard.
        vitals: its last report, None while there was none.
        status: the same in numbers.
    """

    row: AgentRow
    state: State
    renewed_wall: int | None
    why: str
    active_attempts: int = 0
    vitals: Vitals | None = None
    status: Status = Status()


def view(row: AgentRow, at: Moment, session: Session) -> AgentView:
    """Show a row at that moment."""
    state = shown_state(row, at, session)
    renewed = None
    if state_of(row, at.epoch) is not State.UNCONFIRMED:
        heard = session.last_renewal(row.agent_id)
        if heard is None and row.confirmed_by(*at.epoch):
            heard = row.enrolled_now
        renewed = None if heard is None else at.wall - (at.now - max(heard, row.enrolled_now))
    running = session.active_attempts(row.agent_id)
    status = _status(row, state, running, at.wall if renewed is None else renewed)
    return AgentView(
        row,
        state,
        renewed,
        why(row, state),
        running,
        session.vitals(row.agent_id),
        status if status.available else Status(wall=at.wall),
    )


def _status(row: AgentRow, state: State, running: int, wall: int) -> Status:
    if state not in _ANSWERING or Ailment.DEAF in row.ailments:
        return Status()
    wrong = len(row.ailments) + (row.regularity is not Health.HEALTHY)
    load = -(-100 * running // row.profile.concurrency)
    return Status(True, max(1, 100 - _HEALTH_OF_A_REASON * wrong), min(100, load), wall)


def _duty(row: AgentRow) -> str:
    if not row.active:
        return row.reason
    what = "draining" if row.draining else "cordoned" if row.cordoned else ""
    return f"{what}: {row.reason}" if what and row.reason else what


class IdOrder:
    """Index of a table of agents: their ids in order, for paging."""

    def __init__(self) -> None:
        self._ids: list[str] = []

    def changed(self, key: str, old: AgentRow | None, new: AgentRow | None) -> None:
        """See `Index`."""
        if old is None and new is not None:
            self._ids.insert(bisect_left(self._ids, key), key)
        elif new is None:
            del self._ids[bisect_left(self._ids, key)]

    def after(self, agent_id: str) -> Iterator[str]:
        """Give ids over `agent_id`; nothing may change meanwhile."""
        for index in range(bisect_right(self._ids, agent_id), len(self._ids)):
            yield self._ids[index]


class Census:
    """Index of a table of agents: how many there are of each kind, and about how large they are."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Membership, Health, int, int]] = Counter()
        self.ailing: Counter[Ailment] = Counter()
        self.size_bytes = 0

    def changed(self, key: str, old: AgentRow | None, new: AgentRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self.ailing.subtract(old.ailments)
            self._counts[_kind(old)] -= 1
            if not self._counts[_kind(old)]:
                del self._counts[_kind(old)]
            self.size_bytes -= old.size_bytes
        if new is not None:
            self.ailing.update(new.ailments)
            self._counts[_kind(new)] += 1
            self.size_bytes += new.size_bytes

    @property
    def active(self) -> int:
        """Return how many agents are members now."""
        return sum(count for (membership, *_), count in self._counts.items() if membership is Membership.ACTIVE)

    def by_state(self, epoch: Epoch) -> dict[State, int]:
        """Count the agents in each state, as the leader of `epoch` shows them."""
        counts = dict.fromkeys(State, 0)
        for (membership, health, generation, revision), count in self._counts.items():
            if membership is not Membership.ACTIVE:
                counts[State.GONE if membership is Membership.GONE else State.DEREGISTERED] += count
            else:
                confirmed = (generation, revision) == (epoch.generation, epoch.revision)
                counts[_OF_HEALTH[health] if confirmed else State.UNCONFIRMED] += count
        return counts


def _kind(row: AgentRow) -> tuple[Membership, Health, int, int]:
    return row.membership, row.health, row.confirmed_generation, row.confirmed_revision

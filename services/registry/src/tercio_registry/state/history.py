"""The last changes of each agent's state and duty, for people who ask what happened to it."""

from __future__ import annotations

from typing import Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table, TableStore
from tercio_registry.state.agents import AgentRow, Membership
from tercio_registry.state.sizes import Sizes
from tercio_registry.state.views import State, recorded_state, why

HISTORY: Final = "history"
MOST_TRANSITIONS: Final = 20
_MOST_REASON: Final = 256


class Transition(NamedTuple):
    """One change: what was so afterwards, from wall time `wall` in ms on, and why."""

    wall: int
    state: State
    cordoned: bool
    draining: bool
    incarnation: int
    reason: str


class HistoryRow(NamedTuple):
    """An agent's changes, the oldest first."""

    agent_id: str
    transitions: tuple[Transition, ...]

    @property
    def size_bytes(self) -> int:
        """About what the row costs in a snapshot."""
        return 20 + len(self.agent_id) + sum(24 + len(each.reason) for each in self.transitions)


class History:
    """The table of changes; follows that of agents."""

    def __init__(self, store: TableStore) -> None:
        """Add the table to `store`."""
        self.table: Table[HistoryRow] = Table(HISTORY, lambda row: row.agent_id, store=store, fed=False)
        self._sizes = Sizes()
        self.table.add_index(self._sizes)

    @property
    def size_bytes(self) -> int:
        """About how much all changes take."""
        return self._sizes.size_bytes

    def of(self, agent_id: str) -> tuple[Transition, ...]:
        """Return an agent's changes; none when nothing is known."""
        row = self.table.get(agent_id)
        return row.transitions if row is not None else ()

    def follow(self, former: AgentRow | None, row: AgentRow, at: Moment) -> None:
        """Note what changed with a row."""
        if former is not None and _kind(former) == _kind(row):
            return
        state = recorded_state(row)
        reason = why(row, state)[:_MOST_REASON] or ("registered" if row.membership is Membership.ACTIVE else "")
        transition = Transition(at.wall, state, row.cordoned, row.draining, row.incarnation, reason)
        kept = (*self.of(row.agent_id), transition)[-MOST_TRANSITIONS:]
        self.table.put(HistoryRow(row.agent_id, kept))

    def forget(self, agent_id: str) -> None:
        """Forget an agent, if anything is known of it."""
        if agent_id in self.table:
            self.table.delete(agent_id)


def _kind(row: AgentRow) -> tuple[State, bool, bool, int]:
    return recorded_state(row), row.cordoned, row.draining, row.incarnation

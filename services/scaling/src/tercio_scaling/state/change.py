"""The change of one pool by one command: what becomes of its state, and what is told of it.

Tables stay as they are while a command is decided, so what one part of it decides the next one finds here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tercio_common.machine.protocol import Moment
from tercio_scaling.state import victims
from tercio_scaling.state.events import Event, EventsForgotten, EventsNoted, PoolAdvanced
from tercio_scaling.state.rows import EXTERNAL, EventKind, EventRow, Impact, Outcome, PoolRow, StateRow
from tercio_scaling.state.sightings import PoolSeen
from tercio_scaling.state.tables import ScalingTables


class Change:
    """What becomes of one pool.

    Attributes:
        row: what is declared, after the command.
        state: where the pool is, after the command so far.
        seen: what is seen of it; None when nothing fresh is.
    """

    def __init__(
        self, row: PoolRow, at: Moment, tables: ScalingTables, *, seen: PoolSeen | None, principal: str = ""
    ) -> None:
        self.row, self.at, self.seen, self.principal = row, at, seen, principal
        self._tables = tables
        self._before = tables.states.get(row.pool_id) or StateRow(row.pool_id)
        self.state = self._before
        self._noted: dict[int, EventRow] = {}

    def set(self, **fields: Any) -> None:
        """Replace fields of the state."""
        self.state = self.state._replace(**fields)

    def note(self, kind: EventKind, reason: str, **fields: Any) -> EventRow:
        """Tell of something; the fields are those of `EventRow`."""
        number = self.state.last_event + 1
        self.set(last_event=number)
        told: dict[str, Any] = {
            "before": self.state.decided,
            "after": self.state.decided,
            "wanted": self.state.decided,
            "rule": "",
            "principal": self.principal,
            **fields,
        }
        at = self.at
        row = EventRow(self.row.pool_id, number, kind, now=at.now, wall=at.wall, epoch=at.epoch, reason=reason, **told)
        self._noted[number] = row
        return row

    def update(self, number: int, **fields: Any) -> None:
        """Tell more of an event, if it is still kept."""
        row = self._noted.get(number) or self._tables.events.get((self.row.pool_id, number))
        if row is not None:
            self._noted[number] = row._replace(**fields)

    def decide(self, agents: int, reason: str, *, rule: str, **fields: Any) -> EventRow | None:
        """Decide the number, tell of it, and choose who leaves or stays; None when it is what it was."""
        before = self.state.decided
        if agents == before:
            return None
        self._supersede()
        chosen = {each.agent_id for each in self.state.victims}
        self._grow(agents - before) if agents > before else self._shrink(before - agents)
        found = [each.agent_id for each in self.state.victims if each.agent_id not in chosen]
        kind = EventKind.SCALED_UP if agents > before else EventKind.SCALED_DOWN
        told: dict[str, Any] = {"wanted": agents, **fields}
        impact = self.impact(before, agents, tuple(found))
        event = self.note(
            kind, reason, before=before, after=agents, rule=rule, impact=impact, outcome=Outcome.PENDING, **told
        )
        self.set(epoch=self.at.epoch, pending=event.number, refused="")
        return event

    def impact(self, before: int, after: int, leaving: tuple[str, ...] = ()) -> Impact:
        """Return what another number makes of the pool."""
        slots, cost = self.row.pool.slots, self.row.pool.agent_cost
        takes = (self.state.startup or self.row.pool.startup) if after > before else 0
        return Impact(slots * before, slots * after, cost * before, cost * after, takes, leaving)

    def choose(self) -> None:
        """Choose who leaves of those that are too many, if anybody can be seen."""
        if self.row.driver == EXTERNAL:
            self.set(owed=0)
        elif self.state.owed and self.seen is not None:
            missing = victims.missing(self.state, self.seen)
            owed = max(0, self.state.owed - missing)
            chosen = victims.chosen(owed, self.state, self.seen, self.at)
            self.set(owed=owed - len(chosen), victims=(*self.state.victims, *chosen))

    def events(self) -> Iterator[Event]:
        """Give what is to be written: nothing when nothing changed."""
        state = self.state
        if _driven(state) != _driven(self._before):
            state = state._replace(seq=self.at.seq)
        if state != self._before or self.row.pool_id not in self._tables.states:
            yield PoolAdvanced(state)
        if self._noted:
            yield EventsNoted(tuple(self._noted.values()))

    def forgotten(self, *, most: int) -> Iterator[Event]:
        """Give what is to be forgotten, so that at most so many events are kept."""
        numbers = self._tables.history.surplus(self.row.pool_id, self._noted, most=most)
        if numbers:
            yield EventsForgotten((self.row.pool_id,) * len(numbers), numbers)

    def _supersede(self) -> None:
        if self.state.pending:
            self.update(self.state.pending, outcome=Outcome.SUPERSEDED, ended_wall=self.at.wall)

    def _grow(self, more: int) -> None:
        state = self.state
        forgiven = min(more, state.owed)
        stay, back = victims.returned(more - forgiven, state.victims)
        self.set(decided=state.decided + more, owed=state.owed - forgiven, victims=stay)
        if back:
            self.note(EventKind.AGENT_RETURNED, "demand came back", agent_ids=back)

    def _shrink(self, fewer: int) -> None:
        self.set(decided=self.state.decided - fewer, owed=self.state.owed + fewer)
        self.choose()


def _driven(state: StateRow) -> tuple[Any, ...]:
    """Return what a driver, or who cordons, goes by."""
    return (state.decided, state.owed, state.failing, state.victims)

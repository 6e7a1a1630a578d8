"""What the registry owes the outside: reservations and clearances, each under the id of the registration that asked.

A registration is noted before anything outside is done for it, becomes an agent's with the agent's own record, and is
due for undoing when that agent's incarnation ends. One that never became an agent's is due as soon as nobody works on
it any more, which the edge knows for its own leadership; a new leader works on none, so it undoes all that were left.

The next incarnation of an agent may keep what the former one reserved, when it requires the same. That takes nothing
but its own record, so there is no moment at which both are held, or neither. What the former was cleared for is due by
then, and its reservation once no incarnation keeps it any more.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.table import Table, TableStore
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.commands import CloseRegistrations
from tercio_registry.state.events import RegistrationBegun, RegistrationsUndone

REGISTRATIONS = "registrations"


class Stage(IntEnum):
    """How far a registration got. Values are persisted."""

    BEGUN = 1
    HELD = 2
    DUE = 3
    HANDED_ON = 4
    KEPT = 5


_FIRM = frozenset({Stage.HELD, Stage.KEPT})
"""Stages in which there is nothing to undo."""


class RegistrationRow(NamedTuple):
    """One registration with effects outside."""

    registration_id: str
    stage: Stage


class Obligations:
    """The table of registrations that had effects outside, and which of them no agent holds."""

    def __init__(self, store: TableStore) -> None:
        """Add the table to `store`."""
        self.table: Table[RegistrationRow] = Table(
            REGISTRATIONS, lambda row: row.registration_id, store=store, fed=False
        )
        self._loose: dict[str, None] = {}
        self.table.add_index(self)

    def changed(self, key: str, old: RegistrationRow | None, new: RegistrationRow | None) -> None:
        """See `Index`."""
        if new is None or new.stage in _FIRM:
            self._loose.pop(key, None)
        else:
            self._loose[key] = None

    def loose(self) -> list[str]:
        """Return the registrations that something of is to be undone, the oldest first."""
        return list(self._loose)

    def is_handed_on(self, registration_id: str) -> bool:
        """Tell whether only its clearance is to be undone, because another incarnation keeps what it reserved."""
        row = self.table.get(registration_id)
        return row is not None and row.stage is Stage.HANDED_ON

    def check_begun(self, registration_id: str) -> None:
        """Raise REGISTRATION_EXCEPTION unless an agent may still come to hold it; the empty one always may."""
        row = self.table.get(registration_id) if registration_id else None
        if registration_id and (row is None or row.stage is not Stage.BEGUN):
            raise Refusal(
                "REGISTRATION_EXCEPTION", "what was reserved for the agent was given back meanwhile; register again"
            )

    def begin(self, registration_id: str) -> RegistrationBegun:
        """Decide to note a registration; its id is new."""
        return RegistrationBegun(registration_id)

    def close(self, command: CloseRegistrations) -> RegistrationsUndone | None:
        """Decide to forget what is undone of registrations; None when all of it is forgotten.

        One that was handed on when its undoing began may be due as a whole by now, and is then undone once more.
        """
        keeps = command.keeps_reservations
        known = tuple(
            each for each in command.registration_ids if each in self._loose and self.is_handed_on(each) is keeps
        )
        return RegistrationsUndone(known, keeps_reservations=keeps) if known else None

    def apply(self, event: RegistrationBegun | RegistrationsUndone) -> None:
        """Change the table."""
        if isinstance(event, RegistrationBegun):
            self.table.put(RegistrationRow(event.registration_id, Stage.BEGUN))
            return
        for registration_id in event.registration_ids:
            if event.keeps_reservations:
                self.table.put(RegistrationRow(registration_id, Stage.KEPT))
            else:
                self.table.delete(registration_id)

    def follow(self, old: AgentRow | None, new: AgentRow) -> None:
        """Follow a change of an agent: while it is active it holds its own registration, and one that it keeps."""
        former, present = _held_by(old), _held_by(new)
        if former == present:
            return
        own = new.registration_id if present else ""
        if own and own not in former:
            self.table.put(RegistrationRow(own, Stage.HELD))
        for each in former:
            if each not in present:
                self.table.put(RegistrationRow(each, Stage.DUE))
            elif each != own and self.table[each].stage is Stage.HELD:
                self.table.put(RegistrationRow(each, Stage.HANDED_ON))


def _held_by(row: AgentRow | None) -> tuple[str, ...]:
    if row is None or not row.active:
        return ()
    return tuple(each for each in (row.registration_id, row.reservation_id) if each)

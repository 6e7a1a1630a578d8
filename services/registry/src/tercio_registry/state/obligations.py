"""What the registry owes the outside: reservations and clearances, each under the id of the registration that asked.

A registration is noted before anything outside is done for it, becomes an agent's with the agent's own record, and is
due for undoing when that agent's incarnation ends. One that never became an agent's is due as soon as nobody works on
it any more, which the edge knows for its own leadership; a new leader works on none, so it undoes all that were left.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.table import Table, TableStore
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.events import RegistrationBegun, RegistrationsUndone

REGISTRATIONS = "registrations"


class Stage(IntEnum):
    """How far a registration got. Values are persisted."""

    BEGUN = 1
    HELD = 2
    DUE = 3


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
        if new is None or new.stage is Stage.HELD:
            self._loose.pop(key, None)
        else:
            self._loose[key] = None

    def loose(self) -> list[str]:
        """Return the registrations that no agent holds, the oldest first."""
        return list(self._loose)

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

    def close(self, registration_ids: Iterable[str]) -> RegistrationsUndone | None:
        """Decide to forget registrations that are undone; None when all are forgotten."""
        known = tuple(each for each in registration_ids if each in self._loose)
        return RegistrationsUndone(known) if known else None

    def apply(self, event: RegistrationBegun | RegistrationsUndone) -> None:
        """Change the table."""
        if isinstance(event, RegistrationBegun):
            self.table.put(RegistrationRow(event.registration_id, Stage.BEGUN))
            return
        for registration_id in event.registration_ids:
            self.table.delete(registration_id)

    def follow(self, old: AgentRow | None, new: AgentRow) -> None:
        """Follow a change of an agent: it holds its own registration while it is active, and no former one."""
        former, present = _held_by(old), _held_by(new)
        if former == present:
            return
        if present:
            self.table.put(RegistrationRow(present, Stage.HELD))
        if former:
            self.table.put(RegistrationRow(former, Stage.DUE))


def _held_by(row: AgentRow | None) -> str:
    return row.registration_id if row is not None and row.active else ""

"""The machine of the conflicts service: passes each command and event to the noun that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tercio_common.errors import Refusal
from tercio_common.leasing.tombstones import TombstoneRow, Tombstones
from tercio_common.machine.protocol import NOTHING, Decision, ElectionWon, Moment, Tick
from tercio_conflicts.state import claims, grants, leases, yielding
from tercio_conflicts.state.commands import Acquire, Release, RequestRelease, Transfer
from tercio_conflicts.state.events import (
    ClaimsGranted,
    ClaimsReleased,
    ClaimsTransferred,
    ClaimTombstonesPruned,
    Event,
    ReleasesRequested,
)
from tercio_conflicts.state.leases import Leases
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.tables import ConflictTables

_ROW_BYTES = 300
"""About what a row takes in a snapshot."""


class ConflictsMachine:
    """Pure state."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tables = ConflictTables(rules)
        self._served: Leases | Tombstones = self.tables.leases

    def decide(self, command: Any, at: Moment, session: Session) -> Decision:
        """See `StateMachine`."""
        match command:
            case Acquire():
                self._check_space(len(command.things))
                return grants.acquire(command, at, tables=self.tables, session=session, rules=self.rules)
            case Release():
                return claims.release(command, self.tables)
            case Transfer():
                handed = claims.transfer(command, self.tables, self.rules)
                return Decision([handed], claims.transferred(handed, self.tables.claims, at))
            case RequestRelease():
                return self._request_release(command, at)
            case Tick(limit=limit):
                return Decision(self._expire(at, session, limit=limit))
            case ElectionWon():
                return NOTHING
            case _:
                raise TypeError(f"the conflicts service knows no command {type(command).__name__}")

    def apply(self, event: Event, at: Moment) -> None:
        """See `StateMachine`."""
        tables = self.tables
        match event:
            case ClaimsGranted():
                for row in grants.rows_of(event, at):
                    tables.claims.put(row)
            case ClaimsReleased():
                for number in event.numbers:
                    tables.claims.delete(number)
                for owner in event.barred:
                    tables.tombstones.put(TombstoneRow(owner, at.now))
            case ClaimsTransferred():
                for row in claims.transferred(event, tables.claims, at):
                    tables.claims.put(row)
            case ReleasesRequested():
                for row in yielding.asked(event, tables.claims):
                    tables.claims.put(row)
            case ClaimTombstonesPruned():
                for owner in event.owners:
                    tables.tombstones.delete(owner)

    def next_due(self) -> int | None:
        """See `StateMachine`."""
        dues = (each.next_due() for each in (self.tables.leases, self.tables.barred))
        return min((due for due in dues if due is not None), default=None)

    def set_aside_due(self) -> str:
        """See `StateMachine`."""
        return self._served.set_aside()

    @property
    def live_bytes(self) -> int:
        """About what all rows take in a snapshot."""
        return _ROW_BYTES * sum(map(len, self.tables.tables.values()))

    def _request_release(self, command: RequestRelease, at: Moment) -> Decision:
        table = self.tables.claims
        requested = yielding.request(command, at, claims=table, rules=self.rules)
        rows = {number: table[number] for number in command.numbers}
        if requested is None:
            return Decision((), list(rows.values()))
        rows.update((row.number, row) for row in yielding.asked(requested, table))
        return Decision([requested], list(rows.values()))

    def _expire(self, at: Moment, session: Session, *, limit: int) -> Sequence[Event]:
        """Decide what is due of one kind: should it fail, that is the kind of what is at fault."""
        self._served = self.tables.leases
        if ended := leases.expire(self.tables.claims, self.tables.leases, at, session=session, limit=limit):
            return ended
        self._served = self.tables.barred
        owners = self.tables.barred.prunable(at, limit=limit)
        return [ClaimTombstonesPruned(owners)] if owners else []

    def _check_space(self, more: int) -> None:
        if self.live_bytes + _ROW_BYTES * more > self.rules.max_live_bytes:
            message = f"the service holds as much as {self.rules.max_live_bytes} bytes allow; release something first"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=5_000)

"""The machine of the conflicts service: passes each command and event to the noun that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tercio_common.errors import Refusal
from tercio_common.leasing.tombstones import TombstoneRow, Tombstones
from tercio_common.machine.outbox import AcknowledgeOutbox, OutboxAcknowledged
from tercio_common.machine.protocol import NOTHING, Decision, ElectionWon, Moment, Tick
from tercio_common.machine.system_tasks import SystemTasks
from tercio_conflicts.state import claims, grants, leases, yielding
from tercio_conflicts.state.commands import Acquire, Release, RequestRelease, Transfer
from tercio_conflicts.state.dispute_commands import Attend, ReportActions, ReportSystemTasks
from tercio_conflicts.state.dispute_rules import DEFAULT_DISPUTE_RULES, DisputeRules
from tercio_conflicts.state.disputes import Disputes
from tercio_conflicts.state.events import (
    ClaimsGranted,
    ClaimsReleased,
    ClaimsTransferred,
    ClaimTombstonesPruned,
    Event,
    ReleasesRequested,
)
from tercio_conflicts.state.leases import Leases
from tercio_conflicts.state.resolving import Releases
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.situating import situation
from tercio_conflicts.state.tables import ConflictTables

_ROW_BYTES = 300
"""About what a row takes in a snapshot."""
_TEXT_BYTES = 4_096
"""About what is written in a decision or about a conflict, at most four times as much."""


class ConflictsMachine:
    """Pure state."""

    def __init__(self, rules: Rules, dispute_rules: DisputeRules = DEFAULT_DISPUTE_RULES) -> None:
        self.rules = rules
        self.tables = ConflictTables(rules, dispute_rules)
        self.disputes = Disputes(self.tables.disputes, dispute_rules)
        self.system_tasks, self.outbox = self.tables.disputes.system_tasks, self.tables.disputes.outbox
        self._served: Leases | Tombstones | SystemTasks = self.tables.leases

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
            case AcknowledgeOutbox():
                known = self.outbox.acknowledge(command)
                return NOTHING if known is None else Decision([known])
            case _:
                return self._dispute(command, at, session)

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
            case OutboxAcknowledged():
                self.outbox.apply(event)
            case _:
                self.disputes.apply(event, at)

    def next_due(self) -> int | None:
        """See `StateMachine`."""
        dues = (each.next_due() for each in (self.tables.leases, self.tables.barred, self.system_tasks))
        return min((due for due in dues if due is not None), default=None)

    def set_aside_due(self) -> str:
        """See `StateMachine`."""
        served = self._served
        return served.set_aside_due() if isinstance(served, SystemTasks) else served.set_aside()

    @property
    def live_bytes(self) -> int:
        """About what all rows take in a snapshot."""
        disputes = self.tables.disputes
        return _ROW_BYTES * sum(map(len, self.tables.tables.values())) + _TEXT_BYTES * (
            len(disputes.decisions) + len(disputes.conflicts) + len(disputes.precedents)
        )

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
        if owners := self.tables.barred.prunable(at, limit=limit):
            return [ClaimTombstonesPruned(owners)]
        self._served = self.system_tasks
        closed = self.system_tasks.expire(at, limit=limit)
        if not closed.outcomes:
            return []
        return [closed, *self.disputes.consulted(closed, at, situation(self.tables, session, at))]

    def _dispute(self, command: Any, at: Moment, session: Session) -> Decision:
        """Decide what is about decisions and conflicts; what it wants released is asked for as anybody else would."""
        if not isinstance(command, Attend | ReportActions | ReportSystemTasks):
            self._check_space(1)
        decision = self.disputes.decide(command, at, lambda: situation(self.tables, session, at))
        events = [made for event in decision.events for made in self._with_requests(event, at)]
        return decision._replace(events=events)

    def _with_requests(self, event: Any, at: Moment) -> Sequence[Event]:
        if not isinstance(event, Releases):
            return [event]
        requests = (
            RequestRelease(numbers=(wish.number,), asked_by=wish.asked_by, priority=wish.priority, because=wish.because)
            for wish in event.wishes
        )
        table = self.tables.claims
        made = (yielding.request(each, at, claims=table, rules=self.rules) for each in requests)
        return [each for each in made if each is not None]

    def _check_space(self, more: int) -> None:
        if self.live_bytes + _ROW_BYTES * more > self.rules.max_live_bytes:
            message = f"the service holds as much as {self.rules.max_live_bytes} bytes allow; release something first"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=5_000)

"""The outbox: what a service owes others, from the record that caused it until they have acknowledged it.

An entry is put into the table by the event that is its cause, so it is durable exactly when the cause is. The leader
delivers what is committed, over and over, until the receiver has it; its acknowledgement is an event that removes the
entry. So a receiver sees each entry at least once, in any order, and must recognise repetitions by the entry's id.

How often an entry was tried is no state: a new leader begins anew, and a failed try costs no record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table, TableStore

OUTBOX = "outbox"


class OutboxRow(NamedTuple):
    """One thing that is owed.

    Attributes:
        entry_id: unique in this outbox, and by it the receiver knows a repetition.
        kind: to whom and how it goes; each kind has one delivery.
        payload: as its delivery understands it.
        created: fleet time in ms of its cause.
        seq: record of its cause; it leaves only once that is durable.
    """

    entry_id: str
    kind: str
    payload: bytes
    created: int
    seq: int


class OutboxAcknowledged(NamedTuple):
    """Event: the receivers have these entries."""

    entry_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AcknowledgeOutbox:
    """Command: forget these entries; those that are gone already are passed over."""

    entry_ids: tuple[str, ...]


class Outbox:
    """The outbox of one machine."""

    def __init__(self, store: TableStore) -> None:
        """Add the table to `store`."""
        self.table: Table[OutboxRow] = Table(OUTBOX, lambda row: row.entry_id, store=store, fed=False)
        self._of_kind: dict[str, dict[str, OutboxRow]] = {}
        self.table.add_index(self)

    def changed(self, key: str, old: OutboxRow | None, new: OutboxRow | None) -> None:
        """See `Index`."""
        if old is not None:
            del self._of_kind[old.kind][key]
        if new is not None:
            self._of_kind.setdefault(new.kind, {})[key] = new

    def add(self, kind: str, entry_id: str, payload: bytes, at: Moment) -> None:
        """Owe something, while the event that causes it is applied; an entry that is there already stays."""
        if entry_id not in self.table:
            self.table.put(OutboxRow(entry_id, kind, payload, at.now, at.seq))

    def acknowledge(self, command: AcknowledgeOutbox) -> OutboxAcknowledged | None:
        """Decide an acknowledgement; None when it removes nothing."""
        known = tuple(each for each in dict.fromkeys(command.entry_ids) if each in self.table)
        return OutboxAcknowledged(known) if known else None

    def apply(self, event: OutboxAcknowledged) -> None:
        """Forget what was acknowledged."""
        for entry_id in event.entry_ids:
            self.table.delete(entry_id)

    def pending(self, kind: str, *, committed: int, passed: Collection[str] = ()) -> Iterator[OutboxRow]:
        """Give the entries of a kind whose cause is durable, but for those in `passed`."""
        for row in self._of_kind.get(kind, {}).values():
            if row.seq <= committed and row.entry_id not in passed:
                yield row

    def count(self, kind: str) -> int:
        """Return how many entries of a kind are owed."""
        return len(self._of_kind.get(kind, ()))

    def oldest(self, kind: str) -> int | None:
        """Return since when, in fleet time, the oldest entry of a kind is owed."""
        return min((row.created for row in self._of_kind.get(kind, {}).values()), default=None)

"""Tables: partitions of immutable rows, with derived indexes, undo, and snapshots that cost nothing to start.

Partitions follow extendible hashing (Fagin and others, 1979): the low bits of a key's hash choose a slot, several slots
may hold the same partition, and one that is full is split alone, so no insertion ever pays for a resize of the whole.
A snapshot marks every partition as shared; the first change to a shared partition copies it (24 µs for 4,096 rows), so
the snapshot sees the rows of its moment while the table moves on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

Row = TypeVar("Row")
_IndexedRow = TypeVar("_IndexedRow", contravariant=True)

SPLIT_AT = 2048
"""Rows beyond which the first partition is split; the last one is at nearly twice as many, so that a growing table
splits one now and then, and not all of them at once."""
_NO_ROWS: Final[Mapping[Any, Any]] = MappingProxyType({})


class Index(Protocol[_IndexedRow]):
    """Data derived from the rows of a table; never stored, rebuilt on load."""

    def changed(self, key: Any, old: _IndexedRow | None, new: _IndexedRow | None) -> None:
        """Follow one change; also called with the roles exchanged when a command is undone."""
        ...


class Change(NamedTuple):
    """One key that a command changed, and its row afterwards, None when it was deleted."""

    table: str
    key: Any
    row: Any


@dataclass(frozen=True, slots=True)
class Changes:
    """What one command changed: each key once, in each table by first change.

    Iterating gives each as a `Change`, made on the spot; `rows` is the quick way to those of one table.

    Attributes:
        by_table: the rows by key, by name of table; None stands for a row that was deleted.
    """

    by_table: Mapping[str, Mapping[Any, Any]]

    def __len__(self) -> int:
        """Return how many keys were changed."""
        return sum(map(len, self.by_table.values()))

    def __iter__(self) -> Iterator[Change]:
        """Give each change."""
        for table, rows in self.by_table.items():
            for key, row in rows.items():
                yield Change(table, key, row)

    def rows(self, table: str) -> Mapping[Any, Any]:
        """Return the changed rows of one table by key, None for those that were deleted."""
        return self.by_table.get(table, _NO_ROWS)


NO_CHANGES: Final = Changes(_NO_ROWS)


class Table(Generic[Row]):
    """Rows by key. Only `put` and `delete` change it."""

    def __init__(self, name: str, key: Callable[[Row], Hashable], *, store: TableStore, fed: bool = True) -> None:
        """Create the table and enter it in `store`; changes of a table that is not `fed` stay out of the feed."""
        self.name = name
        self.key = key
        self.fed = fed
        self._slots: list[dict[Any, Row]] = [{}]
        self._depths = [0]  # of each slot: how many low bits the keys of its partition have in common
        self._limits = [SPLIT_AT]  # of each slot: rows beyond which its partition is split
        self._mask = 0
        self._shared: set[int] = set()  # slots whose partition belongs to a snapshot
        self._count = 0
        self._indexes: list[Index[Row]] = []
        self._undo = store.undo
        store.add(self)

    def add_index(self, index: Index[Row]) -> None:
        """Keep `index` in step from now on; the table is empty."""
        self._indexes.append(index)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def __contains__(self, key: Any) -> bool:
        """Tell whether there is a row with this key."""
        return key in self._slots[hash(key) & self._mask]

    def get(self, key: Any) -> Row | None:
        """Return the row with this key."""
        return self._slots[hash(key) & self._mask].get(key)

    def __getitem__(self, key: Any) -> Row:
        """Return the row with this key; raises KeyError."""
        return self._slots[hash(key) & self._mask][key]

    def values(self) -> Iterator[Row]:
        """Give every row, in no useful order."""
        for partition in self._partitions():
            yield from partition.values()

    def put(self, row: Row) -> None:
        """Insert or replace the row with this row's key."""
        key = self.key(row)
        slot = hash(key) & self._mask
        if slot in self._shared:
            self._copy(slot)
        rows = self._slots[slot]
        old = rows.get(key)
        rows[key] = row
        self._undo.append((self, key, old, row))
        if old is None:
            self._count += 1  # before the indexes follow: should one of them raise, undoing counts it out again
        for index in self._indexes:
            index.changed(key, old, row)
        if old is None and len(rows) > self._limits[slot]:
            self._split(slot)

    def delete(self, key: Any) -> Row:
        """Remove the row with this key and return it; raises KeyError."""
        slot = hash(key) & self._mask
        if slot in self._shared:
            self._copy(slot)
        old = self._slots[slot].pop(key)
        self._count -= 1
        self._undo.append((self, key, old, None))
        for index in self._indexes:
            index.changed(key, old, None)
        return old

    def share(self) -> list[dict[Any, Row]]:
        """Return the present rows for a snapshot; they do not change any more."""
        self._shared = set(range(len(self._slots)))
        return list(self._partitions())

    def restore(self, key: Any, old: Row | None) -> None:
        """Undo one change."""
        if old is None:
            self.delete(key)
        else:
            self.put(old)

    def _partitions(self) -> Iterator[dict[Any, Row]]:
        return (rows for slot, rows in enumerate(self._slots) if slot < 1 << self._depths[slot])

    def _slots_of(self, slot: int) -> range:
        """Return every slot that holds the same partition."""
        step = 1 << self._depths[slot]
        return range(slot & (step - 1), len(self._slots), step)

    def _copy(self, slot: int) -> None:
        """Leave a partition to the snapshot."""
        rows, slots = self._slots[slot].copy(), self._slots_of(slot)
        for each in slots:
            self._slots[each] = rows
        self._shared.difference_update(slots)

    def _split(self, slot: int) -> None:
        """Part the rows of a partition, which is not shared, by one more bit of their keys' hashes."""
        bit = 1 << self._depths[slot]
        if bit == len(self._slots):
            if bit * SPLIT_AT > 16 * self._count:
                return  # many keys have equal hashes: more slots would not part them
            self._slots *= 2
            self._depths *= 2
            self._limits *= 2
            self._shared |= {each + bit for each in self._shared}
            self._mask = len(self._slots) - 1
        low: dict[Any, Row] = {}
        high: dict[Any, Row] = {}
        for key, row in self._slots[slot].items():
            (high if hash(key) & bit else low)[key] = row
        for each in self._slots_of(slot):
            self._slots[each] = high if each & bit else low
            self._depths[each] += 1
            self._limits[each] = SPLIT_AT + SPLIT_AT * (each & (2 * bit - 1)) // (2 * bit)


class TableStore:
    """Every table of one machine, and what the present command changed in them."""

    def __init__(self) -> None:
        """Start without tables."""
        self.tables: dict[str, Table[Any]] = {}
        self.undo: list[tuple[Table[Any], Any, Any, Any]] = []

    def add(self, table: Table[Any]) -> None:
        """Enter a table; names are unique."""
        if table.name in self.tables:
            raise ValueError(f"two tables are named {table.name}")
        self.tables[table.name] = table

    def begin(self) -> None:
        """Begin a command: what it changes can be undone until the next one begins."""
        self.undo.clear()

    def rollback(self) -> None:
        """Undo what the present command changed."""
        done = self.undo[:]
        for table, key, old, _ in reversed(done):
            table.restore(key, old)
        self.undo.clear()

    def changes(self) -> Changes:
        """Return what the present command changed so far."""
        found: dict[Table[Any], dict[Any, Any]] = {}
        last: Table[Any] | None = None
        rows: dict[Any, Any] = {}
        for table, key, _, row in self.undo:
            if table is not last:
                last, rows = table, found.setdefault(table, {})
            rows[key] = row
        return Changes({table.name: rows for table, rows in found.items() if table.fed}) if found else NO_CHANGES

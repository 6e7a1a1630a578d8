"""Tables: partitions of immutable rows, with derived indexes, undo, and snapshots that cost nothing to start.

Partitions follow linear hashing (Litwin, 1980): the table grows by splitting one partition at a time, so no insertion
ever pays for a resize of the whole, and each partition stays near `SPLIT_AT` rows. A snapshot marks every partition
as shared; the first change to a shared partition copies it (24 µs for 4,096 rows), so the snapshot sees the rows of
its moment while the table moves on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from itertools import repeat
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

Row = TypeVar("Row")
_IndexedRow = TypeVar("_IndexedRow", contravariant=True)

SPLIT_AT = 2048
"""Mean rows a partition at which the table splits one; twice this is the usual largest."""


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


class _Partition:
    __slots__ = ("rows", "shared")

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.shared = False


class Table(Generic[Row]):
    """Rows by key. Only `put` and `delete` change it."""

    def __init__(self, name: str, key: Callable[[Row], Hashable], *, store: TableStore, fed: bool = True) -> None:
        """Create the table and enter it in `store`; changes of a table that is not `fed` stay out of the feed."""
        self.name = name
        self.key = key
        self.fed = fed
        self._partitions = [_Partition()]
        self._mask = 0
        self._split = 0
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
        return key in self._partition(key).rows

    def get(self, key: Any) -> Row | None:
        """Return the row with this key."""
        # As in `_partition`, written out: rows are read several times a command.
        number = hash(key) & self._mask
        if number < self._split:
            number = hash(key) & (self._mask * 2 + 1)
        return self._partitions[number].rows.get(key)

    def __getitem__(self, key: Any) -> Row:
        """Return the row with this key; raises KeyError."""
        number = hash(key) & self._mask
        if number < self._split:
            number = hash(key) & (self._mask * 2 + 1)
        row: Row = self._partitions[number].rows[key]
        return row

    def values(self) -> Iterator[Row]:
        """Give every row, in no useful order."""
        for partition in self._partitions:
            yield from partition.rows.values()

    def put(self, row: Row) -> None:
        """Insert or replace the row with this row's key."""
        key = self.key(row)
        number = hash(key) & self._mask
        if number < self._split:
            number = hash(key) & (self._mask * 2 + 1)
        partition = self._partitions[number]
        if partition.shared:
            partition.rows = partition.rows.copy()
            partition.shared = False
        rows = partition.rows
        old = rows.get(key)
        rows[key] = row
        self._undo.append((self, key, old, row))
        if old is None:
            self._count += 1  # before the indexes follow: should one of them raise, undoing counts it out again
        for index in self._indexes:
            index.changed(key, old, row)
        if old is None and self._count > len(self._partitions) * SPLIT_AT:
            self._grow()

    def delete(self, key: Any) -> None:
        """Remove the row with this key; raises KeyError."""
        partition = self._partition(key)
        old = partition.rows[key]
        if partition.shared:
            partition.rows = partition.rows.copy()
            partition.shared = False
        del partition.rows[key]
        self._count -= 1
        self._undo.append((self, key, old, None))
        for index in self._indexes:
            index.changed(key, old, None)

    def share(self) -> list[dict[Any, Row]]:
        """Return the present rows for a snapshot; they do not change any more."""
        for partition in self._partitions:
            partition.shared = True
        return [partition.rows for partition in self._partitions]

    def restore(self, key: Any, old: Row | None) -> None:
        """Undo one change."""
        if old is None:
            self.delete(key)
        else:
            self.put(old)

    def _partition(self, key: Any) -> _Partition:
        number = hash(key) & self._mask
        if number < self._split:
            number = hash(key) & (self._mask * 2 + 1)
        return self._partitions[number]

    def _grow(self) -> None:
        source, target = self._partitions[self._split], _Partition()
        wide = self._mask * 2 + 1
        stay: dict[Any, Any] = {}
        for key, row in source.rows.items():
            (stay if hash(key) & wide == self._split else target.rows)[key] = row
        source.rows, source.shared = stay, False
        self._partitions.append(target)
        self._split += 1
        if self._split > self._mask:
            self._mask, self._split = wide, 0


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

    def changes(self) -> list[Change]:
        """Return what the present command changed so far: each key once, in each table by first change."""
        found: dict[Table[Any], dict[Any, Any]] = {}
        last, rows = None, {}
        for table, key, _, row in self.undo:
            if table is not last:
                last, rows = table, found.setdefault(table, {})
            rows[key] = row
        # Made by the tuple's own constructor: a named tuple's costs three times as much, and there is one for each row.
        make = partial(tuple.__new__, Change)
        return [
            change
            for table, rows in found.items()
            if table.fed
            for change in map(make, zip(repeat(table.name), rows.keys(), rows.values()))
        ]

"""A store in one SQLite file, for one machine: the journals and elections of every service of this process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

from tercio_common.clock import Clock, SystemClock
from tercio_common.election.standalone import DEFAULT_TTL_MS, Role, StandaloneElection
from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError, JournalGapError, OutcomeUnknownError, StoreUnavailableError
from tercio_common.journal.following import Growth, follow
from tercio_common.journal.pointers import decode_pointer, encode_pointer
from tercio_common.journal.port import Segment, SnapshotId, SnapshotPointer, Space
from tercio_common.journal.sqlite_writer import Job, SqliteWriter

T = TypeVar("T")

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS terms (
    service TEXT PRIMARY KEY, generation INTEGER NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    service TEXT NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (service, number));
CREATE TABLE IF NOT EXISTS chunks (
    service TEXT NOT NULL, generation INTEGER NOT NULL, revision INTEGER NOT NULL, seq INTEGER NOT NULL,
    number INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (service, generation, revision, seq, number));
CREATE TABLE IF NOT EXISTS pointers (service TEXT PRIMARY KEY, value BLOB NOT NULL, segment INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS audits (
    service TEXT NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (service, number));
INSERT OR IGNORE INTO numbers VALUES ('generation', 1), ('revision', 0);
-- Whoever led before is gone with its process.
DELETE FROM terms;
COMMIT;
"""


class SqliteStore:
    """See `tercio_common.journal.store.Store`."""

    def __init__(self, path: Path, *, clock: Clock | None = None, ttl_ms: int = DEFAULT_TTL_MS) -> None:
        """Open the file, making it if there is none.

        Raises:
            StoreError: another process has the file, or it cannot be opened.
        """
        self._writer = SqliteWriter(path, schema=_SCHEMA)
        self._clock = clock or SystemClock()
        self._ttl_ms = ttl_ms
        self._growths: defaultdict[str, Growth] = defaultdict(Growth)
        self._roles: defaultdict[str, Role] = defaultdict(Role)

    def journal(self, service: str) -> SqliteJournal:
        return SqliteJournal(service, writer=self._writer, growth=self._growths[service])

    def election(self, service: str) -> StandaloneElection:
        terms = SqliteTerms(self._writer)
        return StandaloneElection(
            service, role=self._roles[service], terms=terms, clock=self._clock, ttl_ms=self._ttl_ms
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.close)


class SqliteTerms:
    """See `tercio_common.election.standalone.Terms`."""

    def __init__(self, writer: SqliteWriter) -> None:
        self._writer = writer

    async def begin(self, service: str) -> Epoch:
        def job(file: sqlite3.Connection) -> Epoch:
            epoch = Epoch(_number(file, "generation"), _raise(file, "revision"))
            file.execute("INSERT OR REPLACE INTO terms VALUES (?, ?, ?)", (service, *epoch))
            return epoch

        return await _read(self._writer, job)

    async def end(self, service: str, epoch: Epoch) -> None:
        def job(file: sqlite3.Connection) -> None:
            file.execute("DELETE FROM terms WHERE service = ? AND generation = ? AND revision = ?", (service, *epoch))

        await _read(self._writer, job)

    async def leads(self, service: str, epoch: Epoch) -> bool:
        return await _read(self._writer, lambda file: _leads(file, service, epoch))

    async def generation(self) -> int:
        return await _read(self._writer, lambda file: _number(file, "generation"))

    async def raise_generation(self) -> int:
        return await _read(self._writer, lambda file: _raise(file, "generation"))


class SqliteJournal:
    """See `tercio_common.journal.port.Journal`; made by `SqliteStore.journal`."""

    def __init__(self, service: str, *, writer: SqliteWriter, growth: Growth) -> None:
        self._service = service
        self._writer = writer
        self._growth = growth

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        await self._write(lambda file: self._create(file, "segments", number, value, epoch))

    async def read(self, after: int, *, fence: Epoch | None = None, max_bytes: int = 4 << 20) -> list[Segment]:
        return await _read(self._writer, lambda file: self._segments(file, after, max_bytes))

    def tail(self, after: int) -> AsyncIterator[Segment]:
        return follow(self._growth, self.read, after)

    async def write_chunk(self, snapshot: SnapshotId, index: int, data: bytes, *, epoch: Epoch) -> None:
        key = (self._service, *snapshot.epoch, snapshot.seq, index)

        def job(file: sqlite3.Connection) -> None:
            if _chunk(file, key) != data:
                self._check(file, epoch)
                file.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)", (*key, data))

        await self._write(job)

    async def publish(self, pointer: SnapshotPointer, *, epoch: Epoch) -> None:
        value = encode_pointer(pointer)

        def job(file: sqlite3.Connection) -> None:
            if self._pointer(file) != pointer:
                self._check(file, epoch)
                file.execute(
                    "INSERT OR REPLACE INTO pointers VALUES (?, ?, ?)", (self._service, value, pointer.segment)
                )

        await self._write(job)

    async def pointer(self, *, fence: Epoch | None = None) -> SnapshotPointer | None:
        return await _read(self._writer, self._pointer)

    async def read_chunk(self, snapshot: SnapshotId, index: int) -> bytes | None:
        key = (self._service, *snapshot.epoch, snapshot.seq, index)
        return await _read(self._writer, lambda file: _chunk(file, key))

    async def delete_orphans(self, *, epoch: Epoch) -> int:
        def job(file: sqlite3.Connection) -> int:
            self._check(file, epoch)
            pointer = self._pointer(file)
            kept = (*pointer.id.epoch, pointer.id.seq) if pointer else (0, 0, 0)
            orphans = "DELETE FROM chunks WHERE service = ? AND (generation, revision, seq) != (?, ?, ?)"
            return file.execute(orphans, (self._service, *kept)).rowcount

        return await self._write(job)

    async def truncate(self, through: int, *, limit: int = 100) -> int:
        def job(file: sqlite3.Connection) -> int:
            covered = min(through, self._covered(file))
            numbers = "SELECT number FROM segments WHERE service = ? AND number <= ? ORDER BY number LIMIT ?"
            oldest = file.execute(numbers, (self._service, covered, limit)).fetchall()
            file.executemany(
                "DELETE FROM segments WHERE service = ? AND number = ?",
                ((self._service, number) for (number,) in oldest),
            )
            return len(oldest)

        return await self._write(job)

    async def space(self) -> Space:
        return await _read(self._writer, _space)

    async def compact(self) -> None:
        """Do nothing: freed pages are used again by themselves."""

    async def reclaim(self) -> None:
        def job(file: sqlite3.Connection) -> None:
            file.execute("PRAGMA incremental_vacuum").fetchall()
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        await asyncio.wrap_future(self._writer.submit(job, alone=True))

    async def write_audit(self, number: int, data: bytes, *, epoch: Epoch) -> None:
        await self._write(lambda file: self._create(file, "audits", number, data, epoch))

    async def audit_range(self) -> tuple[int, int]:
        ends = "SELECT coalesce(min(number), 1), coalesce(max(number), 0) FROM audits WHERE service = ?"
        first, last = await _read(self._writer, lambda file: file.execute(ends, (self._service,)).fetchone())
        return int(first), int(last)

    async def read_audit(self, after: int, *, limit: int = 10) -> list[tuple[int, bytes]]:
        chunks = "SELECT number, value FROM audits WHERE service = ? AND number > ? ORDER BY number LIMIT ?"
        return await _read(self._writer, lambda file: file.execute(chunks, (self._service, after, limit)).fetchall())

    async def trim_audit(self, through: int, *, epoch: Epoch) -> None:
        def job(file: sqlite3.Connection) -> None:
            self._check(file, epoch)
            file.execute("DELETE FROM audits WHERE service = ? AND number <= ?", (self._service, through))

        await self._write(job)

    async def close(self) -> None:
        """Do nothing: the store belongs to whoever made it."""

    async def _write(self, job: Job[T]) -> T:
        future = asyncio.wrap_future(self._writer.submit(job))
        # Whoever follows is told also when the caller is cancelled while the thread commits.
        future.add_done_callback(self._written)
        return await asyncio.shield(future)

    def _written(self, future: asyncio.Future[T]) -> None:
        if not future.cancelled():
            future.exception()  # a cancelled caller does not look at it
        self._growth.notify()

    def _create(self, file: sqlite3.Connection, table: str, number: int, value: bytes, epoch: Epoch) -> None:
        select = f"SELECT value FROM {table} WHERE service = ? AND number = ?"  # noqa: S608 - two fixed names
        found = file.execute(select, (self._service, number)).fetchone()
        if found is None:
            self._check(file, epoch)
            insert = f"INSERT INTO {table} VALUES (?, ?, ?)"  # noqa: S608 - two fixed names
            file.execute(insert, (self._service, number, value))
        elif found[0] != value:
            raise FencedError(f"number {number} of {self._service} holds something else")

    def _segments(self, file: sqlite3.Connection, after: int, max_bytes: int) -> list[Segment]:
        later = "SELECT number, value FROM segments WHERE service = ? AND number > ? ORDER BY number"
        found: list[Segment] = []
        size = 0
        for number, value in file.execute(later, (self._service, after)):
            size += len(value)
            if number != after + 1 + len(found) or (found and size > max_bytes):
                break
            found.append(Segment(number, value))
        else:
            if found or self._covered(file) <= after:
                return found
        if not found:
            raise JournalGapError(f"segment {after + 1} is gone: the snapshot covers up to {self._covered(file)}")
        return found

    def _covered(self, file: sqlite3.Connection) -> int:
        row = file.execute("SELECT segment FROM pointers WHERE service = ?", (self._service,)).fetchone()
        return int(row[0]) if row else 0

    def _pointer(self, file: sqlite3.Connection) -> SnapshotPointer | None:
        row = file.execute("SELECT value FROM pointers WHERE service = ?", (self._service,)).fetchone()
        return decode_pointer(row[0]) if row else None

    def _check(self, file: sqlite3.Connection, epoch: Epoch) -> None:
        if not _leads(file, self._service, epoch):
            raise FencedError(f"epoch {epoch} does not lead {self._service} any more")


async def _read(writer: SqliteWriter, job: Job[T]) -> T:
    """Run a job whose repetition is harmless."""
    try:
        return await asyncio.wrap_future(writer.submit(job))
    except OutcomeUnknownError as error:
        raise StoreUnavailableError(str(error)) from error


def _leads(file: sqlite3.Connection, service: str, epoch: Epoch) -> bool:
    term = "SELECT 1 FROM terms WHERE service = ? AND generation = ? AND revision = ?"
    return epoch.generation == _number(file, "generation") and bool(file.execute(term, (service, *epoch)).fetchone())


def _chunk(file: sqlite3.Connection, key: tuple[str, int, int, int, int]) -> bytes | None:
    chunk = "SELECT value FROM chunks WHERE service = ? AND generation = ? AND revision = ? AND seq = ? AND number = ?"
    row = file.execute(chunk, key).fetchone()
    return row[0] if row else None


def _number(file: sqlite3.Connection, name: str) -> int:
    return int(file.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()[0])


def _raise(file: sqlite3.Connection, name: str) -> int:
    file.execute("UPDATE numbers SET value = value + 1 WHERE name = ?", (name,))
    return _number(file, name)


def _space(file: sqlite3.Connection) -> Space:
    pages, free, size = (
        int(file.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return Space(in_use=(pages - free) * size, file_size=pages * size, quota=0, full=False)

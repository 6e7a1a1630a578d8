"""One SQLite file serves one process, survives it, and shares its syncs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tercio_common.errors import FencedError, OutcomeUnknownError, StoreError, StoreUnavailableError
from tercio_common.journal.port import Segment
from tercio_common.journal.sqlite import SqliteStore
from tercio_common.journal.sqlite_writer import SqliteWriter

_TABLE = "CREATE TABLE IF NOT EXISTS things (value)"


async def test_what_was_appended_is_there_after_a_restart_and_the_old_epoch_is_not(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tercio.db")
    first = await store.election("alpha").campaign("a:1")
    await store.journal("alpha").append(1, b"one", epoch=first.epoch)
    await store.close()
    store = SqliteStore(tmp_path / "tercio.db")
    journal = store.journal("alpha")
    assert await journal.read(0) == [Segment(1, b"one")]
    with pytest.raises(FencedError):
        await journal.append(2, b"stale", epoch=first.epoch)
    second = await store.election("alpha").campaign("a:1")
    assert second.epoch > first.epoch
    await journal.append(2, b"two", epoch=second.epoch)
    await store.close()


async def test_a_second_process_is_told_which_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "tercio.db"
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"tercio\.db is in use by another process"):
        SqliteStore(path)
    await store.close()
    await SqliteStore(path).close()


def test_a_file_that_is_no_database_is_refused_by_name_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are not the bytes of a database, but a long enough text to be read as a page\n" * 20)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"notes\.txt cannot be opened"):
            SqliteStore(path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        SqliteStore(tmp_path / "missing" / "tercio.db")


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tercio.db")
    await store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.journal("alpha").read(0)


class Busy:
    """Keeps the writer's thread busy, so that what is submitted meanwhile makes one batch."""

    def __init__(self, writer: SqliteWriter) -> None:
        self._started, self._done = threading.Event(), threading.Event()
        self.statements: list[str] = []
        self._held = writer.submit(self._hold)
        self._started.wait(5)

    async def end(self) -> None:
        self._done.set()
        await asyncio.wrap_future(self._held)

    def _hold(self, file: sqlite3.Connection) -> None:
        self._started.set()
        self._done.wait(5)
        file.set_trace_callback(self.statements.append)


def insert(value: int) -> Callable[[sqlite3.Connection], object]:
    return lambda file: file.execute("INSERT INTO things VALUES (?)", (value,)).rowcount


def count(file: sqlite3.Connection) -> int:
    return int(file.execute("SELECT count(*) FROM things").fetchone()[0])


async def test_what_is_written_at_once_shares_one_commit(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "things.db", schema=_TABLE)
    busy = Busy(writer)
    jobs = [writer.submit(insert(number)) for number in range(10)]
    await busy.end()
    await asyncio.gather(*map(asyncio.wrap_future, jobs))
    assert await asyncio.wrap_future(writer.submit(count)) == 10
    writer.close()
    commands = [statement.split()[0] for statement in busy.statements]
    assert commands[:13] == ["COMMIT", "BEGIN", *["INSERT"] * 10, "COMMIT"]


async def test_a_job_that_breaks_rolls_its_batch_back_and_leaves_the_outcome_open(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "things.db", schema=_TABLE)
    busy = Busy(writer)
    jobs = [writer.submit(insert(1)), writer.submit(lambda file: file.execute("INSERT INTO nowhere VALUES (1)"))]
    await busy.end()
    for job in jobs:
        with pytest.raises(OutcomeUnknownError, match="nowhere"):
            await asyncio.wrap_future(job)
    assert await asyncio.wrap_future(writer.submit(count)) == 0
    writer.close()


async def test_a_caller_that_goes_away_leaves_the_append_and_its_followers_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tercio.db")
    journal = store.journal("alpha")
    leadership = await store.election("alpha").campaign("a:1")
    following = asyncio.ensure_future(anext(journal.tail(0)))
    await asyncio.sleep(0)
    appending = asyncio.ensure_future(journal.append(1, b"one", epoch=leadership.epoch))
    await asyncio.sleep(0)
    appending.cancel()
    await asyncio.gather(appending, return_exceptions=True)
    assert await following == Segment(1, b"one")
    await store.close()

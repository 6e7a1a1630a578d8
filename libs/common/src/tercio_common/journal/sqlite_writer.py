"""One SQLite file, one thread that does all its work, off the event loop.

Jobs that wait while a transaction commits go into the next one together, so that services which append at once share
one fsync. A job must check before it changes anything: it may raise a `TercioError` only before its first write, so
that its refusal needs no rollback. Any other exception rolls the whole batch back and fails every job in it with
`OutcomeUnknownError`, because whether a failed commit reached the disk is not known.

A lock on a file beside the database keeps a second process out; the system drops it when this process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from tercio_common.errors import OutcomeUnknownError, StoreError, StoreUnavailableError, TercioError

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], T]

_LARGEST_BATCH = 64
"""A batch shares one fsync; 64 commits of 512 kB are 32 MB, about a second of a slow disk."""

# FULL with a write-ahead log syncs at each commit, which is what makes an append durable. Space that deletions free is
# kept in a list for `reclaim` to give back.
_SETTINGS = ("PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")


class SqliteWriter:
    """Runs jobs on one file."""

    def __init__(self, path: Path, *, schema: str) -> None:
        """Open the file, making it if there is none.

        Raises:
            StoreError: another process has the file, or it cannot be opened.
        """
        self._path = path
        self._lock = _lock(path)
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Future[Any], bool] | None] = queue.SimpleQueue()
        self._closed = False
        opened: Future[None] = Future()
        # A daemon: a program that forgets to close must end all the same, and a commit that it cuts is rolled back.
        self._thread = threading.Thread(
            target=self._run, args=(schema, opened), name=f"sqlite {path.name}", daemon=True
        )
        self._thread.start()
        try:
            opened.result()
        except sqlite3.Error as error:
            self.close()
            raise StoreError(f"{path} cannot be opened as a store: {error}") from error

    def submit(self, job: Job[T], *, alone: bool = False) -> Future[T]:
        """Run the job in a transaction, perhaps shared; `alone` runs it outside of any."""
        future: Future[T] = Future()
        if self._closed:
            future.set_exception(StoreUnavailableError(f"the store {self._path} is closed"))
        else:
            self._jobs.put((job, future, alone))
        return future

    def close(self) -> None:
        """Finish what was submitted, and give the file free."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        os.close(self._lock)

    def _run(self, schema: str, opened: Future[None]) -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None)
        except sqlite3.Error as error:
            opened.set_exception(error)
            return
        with contextlib.closing(connection):
            try:
                for setting in _SETTINGS:
                    connection.execute(setting)
                connection.executescript(schema)
            except sqlite3.Error as error:
                opened.set_exception(error)
                return
            opened.set_result(None)
            self._work(connection)

    def _work(self, connection: sqlite3.Connection) -> None:
        while (entry := self._jobs.get()) is not None:
            entries = [entry, *self._waiting()]
            _run_together(connection, [(job, future) for job, future, alone in entries if not alone])
            for job, future, alone in entries:
                if alone:
                    _run_alone(connection, job, future)

    def _waiting(self) -> Iterator[tuple[Job[Any], Future[Any], bool]]:
        for _ in range(_LARGEST_BATCH - 1):
            try:
                entry = self._jobs.get_nowait()
            except queue.Empty:
                return
            if entry is None:
                self._jobs.put(None)
                return
            yield entry


def _run_together(connection: sqlite3.Connection, batch: list[tuple[Job[Any], Future[Any]]]) -> None:
    wanted = [(job, future) for job, future in batch if future.set_running_or_notify_cancel()]
    if not wanted:
        return
    outcomes: list[tuple[Any, TercioError | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job, _ in wanted:
            try:
                outcomes.append((job(connection), None))
            except TercioError as error:
                outcomes.append((None, error))
        connection.execute("COMMIT")
    except Exception as error:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        for _, future in wanted:
            future.set_exception(_unknown(error))
        return
    for (_, future), (result, refusal) in zip(wanted, outcomes, strict=True):
        if refusal is None:
            future.set_result(result)
        else:
            future.set_exception(refusal)


def _run_alone(connection: sqlite3.Connection, job: Job[Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job(connection))
    except Exception as error:
        future.set_exception(_unknown(error))


def _unknown(error: Exception) -> OutcomeUnknownError:
    unknown = OutcomeUnknownError(f"SQLite: {error}")
    unknown.__cause__ = error
    return unknown


def _lock(path: Path) -> int:
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened as a store: {error.strerror}: {lock}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            f"{path} is in use by another process, and one file serves one process: stop it, or choose another file"
        ) from error
    return descriptor

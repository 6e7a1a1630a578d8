"""The stores that every suite runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from tercio_common.clock import SystemClock
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.memory import MemoryStore
from tercio_common.journal.sqlite import SqliteStore
from tercio_common.journal.store import EtcdStore, Store

pytest.register_assert_rewrite("tercio_common.testing.journal_suite", "tercio_common.testing.election_suite")

_prefixes = (f"ports-{number}" for number in range(1_000_000))


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    try:
        yield store
    finally:
        await store.close()


def etcd_store(server: EtcdServer, *, ttl_ms: int = 10_000) -> EtcdStore:
    """Return a store with a prefix of its own, because raising the generation ends every term below one prefix."""
    reach = EtcdSettings(endpoints=tuple(server.endpoints))
    return EtcdStore(reach, clock=SystemClock(), ttl_ms=ttl_ms, prefix=next(_prefixes))


@pytest.fixture(params=["memory", "sqlite", "etcd"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(make_store(request, tmp_path)) as each:
        yield each


def make_store(request: pytest.FixtureRequest, folder: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return SqliteStore(folder / "tercio.db")
    return etcd_store(request.getfixturevalue("etcd_server"))

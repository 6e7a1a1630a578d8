"""Chooses the store from the settings: the one place that names the implementations of `Journal` and `Election`."""

from __future__ import annotations

from tercio_common.clock import Clock
from tercio_common.election.renewal import LeaseSettings
from tercio_common.etcd_client.settings import EtcdSettings, TlsFiles
from tercio_common.journal.memory import MemoryStore
from tercio_common.journal.sqlite import SqliteStore
from tercio_common.journal.store import EtcdStore, Store
from tercio_common.settings import StoreSettings


def open_store(settings: StoreSettings, *, lease: LeaseSettings, clock: Clock) -> Store:
    """Open the store that the settings name; whoever opens it closes it, after everything that uses it.

    Raises:
        StoreError: the SQLite file belongs to another process or cannot be opened.
    """
    if settings.kind == "memory":
        return MemoryStore(clock=clock, ttl_ms=lease.ttl_ms)
    if settings.kind == "sqlite":
        return SqliteStore(settings.path, clock=clock, ttl_ms=lease.ttl_ms)
    tls = None
    if settings.ca_file is not None:
        tls = TlsFiles(ca=settings.ca_file, cert=settings.cert_file, key=settings.key_file)
    etcd = EtcdSettings(endpoints=settings.endpoints, tls=tls, rpc_timeout_ms=lease.rpc_timeout_ms)
    return EtcdStore(etcd, clock=clock, ttl_ms=lease.ttl_ms, prefix=settings.prefix)

"""A store: the journals and elections of every service, in one place."""

from __future__ import annotations

from typing import Protocol

from tercio_common.clock import Clock
from tercio_common.election.etcd import EtcdElection
from tercio_common.election.port import Election
from tercio_common.etcd_client.client import EtcdClient
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.etcd import EtcdJournal
from tercio_common.journal.keys import DEFAULT_PREFIX
from tercio_common.journal.port import Journal


class Store(Protocol):
    """Makes the two ports of a service. Closing a port leaves the store open; the store's owner closes it last."""

    def journal(self, service: str) -> Journal:
        """Return the service's journal."""
        ...

    def election(self, service: str) -> Election:
        """Return a candidate in the service's election."""
        ...

    async def close(self) -> None:
        """Release connections, threads and files."""
        ...


class EtcdStore:
    """Everything in one etcd, over one client."""

    def __init__(self, settings: EtcdSettings, *, clock: Clock, ttl_ms: int, prefix: str = DEFAULT_PREFIX) -> None:
        self.client = EtcdClient(settings)
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._prefix = prefix

    def journal(self, service: str) -> EtcdJournal:
        return EtcdJournal(self.client, service=service, prefix=self._prefix)

    def election(self, service: str) -> EtcdElection:
        return EtcdElection(self.client, service=service, clock=self._clock, ttl_ms=self._ttl_ms, prefix=self._prefix)

    async def close(self) -> None:
        await self.client.close()

"""The election in etcd: one key, created if absent, that lives on its leader's lease.

The revision that creates the key is the epoch. A candidate waits without a lease and asks for one only when the key
is gone, so that waiting costs etcd nothing; it chooses the lease's id itself, so that it can revoke a lease whose
grant it never heard of.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from tercio_common.clock import Clock
from tercio_common.election.port import Leader, Leadership
from tercio_common.epochs import Epoch
from tercio_common.errors import LeadershipLostError, StoreError, StoreUnavailableError
from tercio_common.etcd_client.client import EtcdClient
from tercio_common.etcd_client.requests import (
    created_at,
    get,
    get_operation,
    modified_at,
    put_operation,
    transaction,
)
from tercio_common.etcd_client.stubs import api
from tercio_common.ids import IdSource, RandomIds
from tercio_common.journal.guards import FIRST_GENERATION, generation_is, leads
from tercio_common.journal.keys import DEFAULT_PREFIX, Keys

_LARGEST_LEASE = (1 << 63) - 1


class EtcdElection:
    """See `tercio_common.election.port.Election`; one candidate."""

    def __init__(
        self,
        client: EtcdClient,
        *,
        service: str,
        clock: Clock,
        ttl_ms: int,
        shard: int = 0,
        prefix: str = DEFAULT_PREFIX,
        ids: IdSource | None = None,
    ) -> None:
        self._client = client
        self._keys = Keys(service, shard, prefix)
        self._clock = clock
        # etcd counts whole seconds; a longer lease there than here is safe.
        self._ttl_s = -(-ttl_ms // 1000)
        self._ids = ids or RandomIds()

    async def campaign(self, address: str) -> Leadership:
        try:
            while True:
                await self._until_vacant()
                generation = await self.generation()
                won = await self._stand(address, generation)
                if won is not None:
                    return won
        except StoreUnavailableError:
            # The caller tries again, perhaps at once.
            await self._client.pause()
            raise

    async def renew(self, leadership: Leadership) -> None:
        # Both calls together end within the time for one, which the rule of `LeaseSettings` counts on.
        timeout_ms = self._client.settings.rpc_timeout_ms
        if await self._client.keep_alive(leadership.lease, timeout_ms=timeout_ms * 3 // 4) <= 0:
            raise LeadershipLostError(f"the lease of epoch {leadership.epoch} has ended")
        # The lease is extended; that nobody deleted the key or raised the generation is looked up as far as time
        # allows.
        with contextlib.suppress(StoreUnavailableError, TimeoutError):
            async with asyncio.timeout(timeout_ms / 4000):
                reply = await self._client.read_transaction(transaction(leads(self._keys, leadership.epoch)))
                if not reply.succeeded and reply.header.revision >= leadership.epoch.revision:
                    raise LeadershipLostError(f"epoch {leadership.epoch} does not lead any more")

    async def resign(self, leadership: Leadership) -> None:
        await self._revoke(leadership.lease)

    async def observe(self) -> AsyncIterator[Leader | None]:
        seen: list[Leader | None] = []
        while True:
            try:
                async with contextlib.aclosing(self._leaders()) as leaders:
                    async for leader in leaders:
                        if seen != [leader]:
                            seen = [leader]
                            yield leader
            except StoreUnavailableError:
                await self._client.pause()

    async def generation(self) -> int:
        generation, _ = await self._generation()
        return generation

    async def raise_generation(self) -> int:
        while True:
            generation, revision = await self._generation()
            raised = put_operation(self._keys.generation, b"%d" % (generation + 1))
            reply = await self._client.write(transaction([modified_at(self._keys.generation, revision)], then=[raised]))
            if reply.succeeded:
                return generation + 1

    async def close(self) -> None:
        """Do nothing: the client belongs to whoever made it."""

    async def _stand(self, address: str, generation: int) -> Leadership | None:
        """Try to create the key; return None when somebody was quicker."""
        since = self._clock.boot_ms()
        lease = int(self._ids.new(), 16) % _LARGEST_LEASE + 1
        won = False
        try:
            await self._client.grant(lease, ttl_s=self._ttl_s)
            revision = await self._create(address, generation, lease)
            won = revision is not None
        except StoreUnavailableError:
            raise
        except StoreError as error:
            # Revoking the lease makes the outcome definite: a put with an ended lease is refused.
            raise StoreUnavailableError(f"the election's outcome is unknown: {error}") from error
        finally:
            if not won:
                await asyncio.shield(self._revoke(lease))
        return None if revision is None else Leadership(Epoch(generation, revision), since, lease)

    async def _create(self, address: str, generation: int, lease: int) -> int | None:
        value = json.dumps({"address": address, "generation": generation}).encode()
        reply = await self._client.write(
            transaction(
                [created_at(self._keys.election, 0), generation_is(self._keys, generation)],
                then=[put_operation(self._keys.election, value, lease=lease)],
                otherwise=[get_operation(self._keys.election)],
            )
        )
        if reply.succeeded:
            return int(reply.header.revision)
        # The call may have been sent to two members, and have won at the first.
        found = reply.responses[0].response_range.kvs
        return int(found[0].create_revision) if found and found[0].lease == lease else None

    async def _until_vacant(self) -> None:
        async with contextlib.aclosing(self._leaders()) as leaders:
            async for leader in leaders:
                if leader is None:
                    return

    async def _leaders(self) -> AsyncGenerator[Leader | None, None]:
        """Give the present leader and every change, until the watch ends."""
        reply = await self._client.read(get(self._keys.election))
        yield _leader(reply.kvs[0]) if reply.kvs else None
        changes = self._client.watch(self._keys.election, revision=reply.header.revision + 1)
        async with contextlib.aclosing(changes) as replies:
            async for change in replies:
                for event in change.events:
                    yield _leader(event.kv) if event.type == api.Event.PUT else None

    async def _generation(self) -> tuple[int, int]:
        found = (await self._client.read(get(self._keys.generation))).kvs
        return (int(found[0].value), found[0].mod_revision) if found else (FIRST_GENERATION, 0)

    async def _revoke(self, lease: int) -> None:
        with contextlib.suppress(StoreError):
            await self._client.revoke(lease)


def _leader(found: Any) -> Leader:
    value = json.loads(found.value)
    return Leader(Epoch(value["generation"], found.create_revision), value["address"])

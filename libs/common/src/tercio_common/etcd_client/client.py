"""A small asynchronous client of etcd: several members, TLS, deadlines, and errors that say what happened to a write.

Why our own: leadership and the journal stand on the difference between "not written" and "perhaps written", on failover
between members, and on TLS; the public asyncio clients offer none of the three.

It promises that each call ends within its deadline and leaves nothing running, and that a member which does not
answer is left for the next one. A call may be sent to several members one after the other, so every write must be one
that is harmless when done twice: a transaction with a guard that its own success makes false, or a value that stays
the same.

Channels belong to the event loop that makes the first call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc

from tercio_common.errors import StoreUnavailableError
from tercio_common.etcd_client import faults
from tercio_common.etcd_client.channels import Member
from tercio_common.etcd_client.requests import Range, Transaction
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.etcd_client.stubs import api

T = TypeVar("T")

Attempt = Callable[[Member, float], Awaitable[T]]

# etcd ends a watch on a member that has lost its leader only when asked to.
_NEEDS_LEADER = (("hasleader", "true"),)
# Between tries after an outage: short beside a lease, long beside a refused connection.
_PAUSE_S = 0.1


class EtcdClient:
    """Calls to one etcd cluster. It belongs to whoever made it: journals and elections that use it do not close it."""

    def __init__(self, settings: EtcdSettings) -> None:
        settings.check()
        self.settings = settings
        self._members: list[Member] = []
        self._present = 0

    async def read(self, request: Range) -> Any:
        """Range. Raises StoreUnavailableError."""
        return await self._read(lambda member, timeout: unary(member.kv.Range, request, timeout))

    async def read_transaction(self, request: Transaction) -> Any:
        """Send a transaction that writes nothing. Raises StoreUnavailableError."""
        return await self._read(lambda member, timeout: unary(member.kv.Txn, request, timeout))

    async def write(self, request: Transaction) -> Any:
        """Send a transaction that may be sent twice without harm.

        Raises:
            NotProposedError: certainly not written.
            OutcomeUnknownError: perhaps written, now or later.
        """
        attempts = 0

        async def attempt(member: Member, timeout: float) -> Any:
            nonlocal attempts
            attempts += 1
            return await unary(member.kv.Txn, request, timeout)

        try:
            return await self._on_any_member(attempt)
        except grpc.aio.AioRpcError as error:
            raise faults.of_write(error, earlier_attempts=attempts > 1) from error

    async def grant(self, lease: int, *, ttl_s: int) -> None:
        """Make a lease with this id. Raises StoreUnavailableError, after which it may exist."""
        request = api.LeaseGrantRequest(ID=lease, TTL=ttl_s)
        await self._read(lambda member, timeout: unary(member.lease.LeaseGrant, request, timeout))

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys. Raises StoreUnavailableError, also when there is no such lease."""
        request = api.LeaseRevokeRequest(ID=lease)
        await self._read(lambda member, timeout: unary(member.lease.LeaseRevoke, request, timeout))

    async def keep_alive(self, lease: int, *, timeout_ms: int) -> int:
        """Extend a lease once; return its time to live in seconds, 0 when it is gone. Raises StoreUnavailableError."""
        request = api.LeaseKeepAliveRequest(ID=lease)

        async def attempt(member: Member, timeout: float) -> int:
            call = member.lease.LeaseKeepAlive(timeout=timeout)
            try:
                await _send(call, request)
                reply = await _receive(call)
                return int(reply.TTL)
            finally:
                call.cancel()

        return await self._read(attempt, timeout_ms=timeout_ms)

    async def watch(
        self, key: bytes, *, end: bytes = b"", revision: int, deletions: bool = True
    ) -> AsyncGenerator[Any, None]:
        """Give changes of the key, or of [key, end), from that revision on, one reply with events at a time.

        Close it with `contextlib.aclosing`.

        Raises:
            StoreUnavailableError: the watch ended, for an outage or because the revision was compacted: read again.
        """
        creation = api.WatchCreateRequest(key=key, range_end=end, start_revision=revision)
        if not deletions:
            creation.filters.append(api.WatchCreateRequest.NODELETE)
        member = self._member()
        call = member.watch.Watch(metadata=_NEEDS_LEADER)
        try:
            async with asyncio.timeout(self.settings.rpc_timeout_ms / 1000):
                await _send(call, api.WatchRequest(create_request=creation))
                reply = await _receive(call)
            while not reply.canceled:
                if reply.events:
                    yield reply
                reply = await _receive(call)
            raise StoreUnavailableError(f"etcd ended the watch: {reply.cancel_reason or 'revision was compacted'}")
        except grpc.aio.AioRpcError as error:
            self._leave(member)
            raise faults.of_read(error) from error
        except TimeoutError as error:
            self._leave(member)
            raise StoreUnavailableError(f"etcd member {member.endpoint} does not start a watch") from error
        finally:
            call.cancel()

    async def pause(self) -> None:
        """Wait a little after an outage."""
        await asyncio.sleep(_PAUSE_S)

    def leave_member(self) -> None:
        """Use the next member from now on."""
        self._leave(self._member())

    def members(self) -> Sequence[Member]:
        """Return every member, for maintenance one at a time."""
        if not self._members:
            self._members = [Member(endpoint, self.settings) for endpoint in self.settings.endpoints]
        return self._members

    async def maintain(self, attempt: Attempt[T], *, member: Member | None = None) -> T:
        """Make a slow call, to one member if given. Raises StoreUnavailableError."""
        timeout_ms = self.settings.maintenance_timeout_ms
        if member is None:
            return await self._read(attempt, timeout_ms=timeout_ms)
        try:
            return await attempt(member, timeout_ms / 1000)
        except grpc.aio.AioRpcError as error:
            raise faults.of_read(error) from error

    async def ask(self, member: Member, attempt: Attempt[T]) -> T:
        """Make a quick call to one member. Raises StoreUnavailableError."""
        try:
            return await attempt(member, self.settings.rpc_timeout_ms / 1000)
        except grpc.aio.AioRpcError as error:
            raise faults.of_read(error) from error

    async def close(self) -> None:
        """Close every connection."""
        members, self._members = self._members, []
        for member in members:
            await member.channel.close()

    async def _read(self, attempt: Attempt[T], *, timeout_ms: int = 0) -> T:
        try:
            return await self._on_any_member(attempt, timeout_ms=timeout_ms)
        except grpc.aio.AioRpcError as error:
            raise faults.of_read(error) from error

    async def _on_any_member(self, attempt: Attempt[T], *, timeout_ms: int = 0) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (timeout_ms or self.settings.rpc_timeout_ms) / 1000
        for last in (*[False] * (len(self.settings.endpoints) - 1), True):
            member = self._member()
            try:
                return await attempt(member, max(deadline - loop.time(), 0.001))
            except grpc.aio.AioRpcError as error:
                if faults.another_member_may_answer(error):
                    self._leave(member)
                if last or not faults.another_member_may_answer(error) or loop.time() >= deadline:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _member(self) -> Member:
        members = self.members()
        return members[self._present % len(members)]

    def _leave(self, member: Member) -> None:
        # Calls that failed together leave it once.
        if member is self._member():
            self._present = (self._present + 1) % len(self.settings.endpoints)


async def unary(method: Any, request: Any, timeout: float) -> Any:
    """Make one call and leave nothing running behind it."""
    call = method(request, timeout=timeout)
    try:
        return await call
    finally:
        # A call whose caller was cancelled would go on by itself.
        call.cancel()


async def _send(call: Any, request: Any) -> None:
    # On a call that has failed already, `write` raises a state error and only `read` tells why.
    with contextlib.suppress(asyncio.InvalidStateError):
        await call.write(request)


async def _receive(call: Any) -> Any:
    reply = await call.read()
    if reply is grpc.aio.EOF:
        raise grpc.aio.AioRpcError(
            await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
        )
    return reply

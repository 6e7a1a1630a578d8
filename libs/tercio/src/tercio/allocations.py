"""Parts of pools: held while a block runs, renewed in the background, given back at its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final

from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import allocation_pb2, resource_service_pb2
from tercio.api.resources.v1 import resource_service_pb2_grpc as resources_grpc
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.attempts import FencingToken
from tercio.renewals import Lease, Renewals
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote

_ANSWER_S: Final = 5.0
"""Beyond the wait itself: for the commit, and for a change of leader."""


class Allocation:
    """What a block holds.

    Attributes:
        allocation_id: names it.
        owner: under which it is held.
        token: give it to whatever is written to, which must refuse a lower one after a higher one.
        lost: set when it is not ours any more: it was released or revoked, or its lease is about to end because nobody
            answered.
    """

    def __init__(self, allocation_id: int, token: FencingToken, lease: Lease) -> None:
        self.allocation_id = allocation_id
        self.owner = lease.owner
        self.token = token
        self.lost = lease.lost


class AllocationCalls:
    """What a client asks of the pools."""

    _resources: Remote[resources_grpc.ResourceServiceAsyncStub]
    _allocation_renewals: Renewals

    @asynccontextmanager
    async def allocate(
        self,
        amounts: Mapping[str, int],
        *,
        owner: str = "",
        tenant: str = "",
        priority: int = 0,
        ttl_s: float = 60.0,
        wait_s: float = 0.0,
        pool_labels: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Allocation]:
        """Hold an amount of each dimension while the block runs.

        Args:
            amounts: how much of each dimension, in its unit: `{"cpu": 2000, "memory": 512}` is 2 cores and 512 MB.
            owner: who holds it; by default a new name.
            tenant: for whom; its quota counts.
            priority: 0 to 9, for who waits.
            ttl_s: how long it outlives this process, 1 s to 24 h; it is renewed three times as often.
            wait_s: how long to wait for it, at most 150 s; 0 is refused at once.
            pool_labels: only from pools with these labels.

        Raises:
            ExhaustedError: it is not free, or was not in time; the metadata names the gap.
            ConflictError: one owner may never hold that much.
        """
        owner = owner or f"client-{new_request_id()}"
        request = resource_service_pb2.AllocateRequest(
            request_id=new_request_id(),
            specs=[
                allocation_pb2.AllocationSpec(
                    amounts=[ResourceAmount(dimension=name, amount=amount) for name, amount in amounts.items()],
                    tenant=tenant,
                    priority=priority,
                    ttl=_duration(ttl_s),
                    pool_labels=pool_labels,
                )
            ],
            owners=[owner],
            wait_timeout=_duration(wait_s),
        )
        asked = time.monotonic()
        timeout_s = wait_s + _ANSWER_S if wait_s else None
        response = await self._resources.unary(
            lambda stub: stub.Allocate, request, timeout_s=timeout_s, try_timeout_s=timeout_s
        )
        number, epoch = response.allocation_ids[0], response.epoch
        lease = self._allocation_renewals.begin(owner, ttl_s=ttl_s, since=asked)
        try:
            yield Allocation(number, FencingToken(epoch.generation, epoch.revision, number), lease)
        finally:
            await self._allocation_renewals.end(lease)
            await self._release(number)

    async def _renew_allocations(self, owners: Mapping[str, int], timeout_s: float) -> Collection[str]:
        request = resource_service_pb2.RenewRequest(owners=list(owners))
        return (await self._resources.unary(lambda stub: stub.Renew, request, timeout_s=timeout_s)).unknown_owners

    async def _release(self, number: int) -> None:
        """Give back; when nobody answers, the lease ends by itself."""
        request = resource_service_pb2.ReleaseRequest(request_id=new_request_id(), allocation_ids=[number])
        with contextlib.suppress(CallError):
            await self._resources.unary(lambda stub: stub.Release, request)


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))

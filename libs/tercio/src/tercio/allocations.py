"""Parts of pools: held while a block runs, renewed in the background, given back at its end.

What is held can shrink and grow meanwhile. So a block may ask for what tasks like its own used (`predict`) and not for
what it might need at worst, say what it uses, from which the next prediction is drawn, and resize when it needs more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import allocation_pb2, resource_service_pb2, usage_service_pb2
from tercio.api.resources.v1 import resource_service_pb2_grpc as resources_grpc
from tercio.api.resources.v1 import usage_service_pb2_grpc as usage_grpc
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.attempts import FencingToken
from tercio.renewals import Lease, Renewals
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError, NotFoundError
from tercio.rpc.remote import Remote

_ANSWER_S: Final = 5.0
"""Beyond the wait itself: for the commit, and for a change of leader."""


class Allocation:
    """What a block holds.

    Attributes:
        allocation_id: names it.
        owner: under which it is held.
        amounts: how much of each dimension it has.
        token: give it to whatever is written to, which must refuse a lower one after a higher one.
        lost: set when it is not ours any more: it was released or revoked, or its lease is about to end because nobody
            answered.
    """

    def __init__(
        self, allocation_id: int, token: FencingToken, lease: Lease, *, amounts: Mapping[str, int], calls: _Calls
    ) -> None:
        self.allocation_id = allocation_id
        self.owner = lease.owner
        self.amounts = dict(amounts)
        self.token = token
        self.lost = lease.lost
        self._calls = calls

    async def resize(self, amounts: Mapping[str, int]) -> None:
        """Have so much of these dimensions from now on; the others stay, and so does the token.

        Less is always taken back. More comes from the same pools, all of it or nothing.

        Raises:
            ExhaustedError: more is not free; the metadata names the gap, and everything stays as it was.
            ConflictError: a cost limit is reached.
            InvalidRequestError: the block holds none of a dimension.
            NotFoundError: it is not held any more.
        """
        request = resource_service_pb2.ResizeRequest(
            request_id=new_request_id(), allocation_id=self.allocation_id, owner=self.owner, amounts=_amounts(amounts)
        )
        response = await self._calls.resources.unary(lambda stub: stub.Resize, request)
        parts = [part.amount for part in response.allocation.parts]
        self.amounts = {part.dimension: part.amount for part in parts}

    async def report(
        self, used: Mapping[str, int], *, task_type: str = "", labels: Mapping[str, str] | None = None
    ) -> None:
        """Say what is used of it now, about every 10 s: who uses little is asked to shrink, and predictions come of it.

        Args:
            used: how much of each dimension, in its unit.
            task_type: what it is used for; by default what it was asked for.
            labels: what else tells such tasks apart.

        Raises:
            NotFoundError: it is not held any more.
        """
        report = usage_service_pb2.ReportUsageRequest.Report(
            allocation_id=self.allocation_id, used=_amounts(used), task_type=task_type, labels=labels
        )
        request = usage_service_pb2.ReportUsageRequest(request_id=new_request_id(), reports=[report])
        response = await self._calls.usage.unary(lambda stub: stub.ReportUsage, request)
        if response.unknown_allocation_ids:
            raise NotFoundError(f"allocation {self.allocation_id} is not held any more", reason="ALLOCATION_NOT_FOUND")


class Prediction(NamedTuple):
    """What a task will use of each dimension, drawn from so many past tasks; from none, it is what the settings say."""

    amounts: Mapping[str, int]
    tasks: int
    error: float
    """How far predictions for its type were off lately, as a part of what was used."""


class _Calls(NamedTuple):
    resources: Remote[resources_grpc.ResourceServiceAsyncStub]
    usage: Remote[usage_grpc.UsageServiceAsyncStub]


class AllocationCalls:
    """What a client asks of the pools."""

    _resources: Remote[resources_grpc.ResourceServiceAsyncStub]
    _usage: Remote[usage_grpc.UsageServiceAsyncStub]
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
        task_type: str = "",
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
            task_type: what it is for: what is used of it counts for predictions of that.

        Raises:
            ExhaustedError: it is not free, or was not in time; the metadata names the gap.
            ConflictError: one owner may never hold that much, or a cost limit is reached.
        """
        owner = owner or f"client-{new_request_id()}"
        request = resource_service_pb2.AllocateRequest(
            request_id=new_request_id(),
            specs=[
                allocation_pb2.AllocationSpec(
                    amounts=_amounts(amounts),
                    tenant=tenant,
                    priority=priority,
                    ttl=_duration(ttl_s),
                    pool_labels=pool_labels,
                    task_type=task_type,
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
            token = FencingToken(epoch.generation, epoch.revision, number)
            yield Allocation(number, token, lease, amounts=amounts, calls=_Calls(self._resources, self._usage))
        finally:
            await self._allocation_renewals.end(lease)
            await self._release(number)

    async def predict(
        self, task_type: str, labels: Mapping[str, str] | None = None, *, can_grow: bool = False
    ) -> Prediction:
        """Return what a task will use, from what past ones of its type used that have the most labels in common.

        Args:
            task_type: what it is.
            labels: what else tells such tasks apart.
            can_grow: it is not a fifth more than the mean, but only as much more as such tasks differ, if that is less:
                for who resizes when it needs more.

        Raises:
            InvalidRequestError: it is no type of tasks.
        """
        request = usage_service_pb2.GetPredictionRequest(task_type=task_type, labels=labels, adaptive_buffer=can_grow)
        found = (await self._usage.unary(lambda stub: stub.GetPrediction, request)).prediction
        amounts = {each.dimension: each.amount for each in found.amounts}
        return Prediction(amounts, found.task_count, found.error_per_mille / 1_000)

    async def _renew_allocations(self, owners: Mapping[str, int], timeout_s: float) -> Collection[str]:
        request = resource_service_pb2.RenewRequest(owners=list(owners))
        return (await self._resources.unary(lambda stub: stub.Renew, request, timeout_s=timeout_s)).unknown_owners

    async def _release(self, number: int) -> None:
        """Give back; when nobody answers, the lease ends by itself."""
        request = resource_service_pb2.ReleaseRequest(request_id=new_request_id(), allocation_ids=[number])
        with contextlib.suppress(CallError):
            await self._resources.unary(lambda stub: stub.Release, request)


def _amounts(amounts: Mapping[str, int]) -> list[ResourceAmount]:
    return [ResourceAmount(dimension=name, amount=amount) for name, amount in amounts.items()]


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))

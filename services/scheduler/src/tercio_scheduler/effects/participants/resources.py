"""The resources service as a participant: amounts of pools."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.requests import new_request_id
from tercio.rpc.channels import FOLLOW_LEADER
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio_common.machine.host import Host
from tercio_common.peers import Peers
from tercio_scheduler.effects.participants.port import ANSWER_S, Change, Link
from tercio_scheduler.state.admission import owner_of
from tercio_scheduler.state.commands import AttemptKey
from tercio_scheduler.state.participants import RESOURCES
from tercio_scheduler.state.rows import Needs
from tercio_scheduler.state.shortages import Gap, Shortage

if TYPE_CHECKING:
    from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceAsyncStub


class ResourcesParticipant:
    """Implements `Participant`."""

    name = RESOURCES

    def __init__(self, peers: Peers, *, owner_ttl_ms: int) -> None:
        """Ask the resources service of the fleet; grants outlive their last renewal by `owner_ttl_ms`."""
        self._peers = peers
        self._ttl = Duration(seconds=owner_ttl_ms // 1000, nanos=owner_ttl_ms % 1000 * 1_000_000)

    @asynccontextmanager
    async def connect(self, host: Host) -> AsyncIterator[Link]:
        async with self._peers.remote(RESOURCES, ResourceServiceStub, host=host) as remote:
            yield _ResourcesLink(remote, host, self._ttl)


class _ResourcesLink:
    def __init__(self, remote: Remote[ResourceServiceAsyncStub], host: Host, ttl: Duration) -> None:
        self.route = remote.route
        self._remote, self._host, self._ttl = remote, host, ttl

    async def ask(
        self, keys: Sequence[AttemptKey], needs: Sequence[Needs], *, request_id: str
    ) -> Mapping[int, Shortage]:
        distinct = list(dict.fromkeys(needs))
        places = {each: place for place, each in enumerate(distinct)}
        request = pb.AllocateRequest(
            request_id=request_id,
            specs=[self._spec(each) for each in distinct],
            owners=map(owner_of, keys),
            spec_indexes=[places[each] for each in needs] if len(distinct) > 1 else (),
        )
        try:
            answer = await self._remote.unary(lambda stub: stub.Allocate, request, timeout_s=ANSWER_S)
        except CallError as error:
            if len(keys) == 1 and "seq" in error.metadata:
                return {0: _single(error, now=self._host.moment().now)}
            raise
        return dict(_shortages(answer, now=self._host.moment().now))

    def _spec(self, needs: Needs) -> allocation_pb2.AllocationSpec:
        return allocation_pb2.AllocationSpec(
            amounts=[ResourceAmount(dimension=name, amount=amount) for name, amount in needs.resources],
            tenant=needs.tenant,
            priority=needs.lane.priority,
            ttl=self._ttl,
            pool_labels=dict(needs.pool_labels),
            task_type=needs.lane.requirement.task_type,
        )

    async def renew(self, held: Mapping[str, Needs], *, timeout_s: float) -> Collection[str]:
        request = pb.RenewRequest(owners=held)
        response = await self._remote.unary(lambda stub: stub.Renew, request, timeout_s=timeout_s)
        return response.unknown_owners

    async def release(self, owners: Mapping[str, str]) -> None:
        request = pb.ReleaseRequest(request_id=new_request_id(), owners=owners, agent_ids=owners.values())
        await self._remote.unary(lambda stub: stub.Release, request)

    async def changes(self) -> AsyncGenerator[Change]:
        call = self._remote.stub().WatchPools(pb.WatchPoolsRequest(), metadata=FOLLOW_LEADER)
        try:
            async for response in call:
                yield Change(response.seq, response.limits_changed)
        except grpc.RpcError as failure:
            raise error_of(failure) from failure
        finally:
            call.cancel()


def _single(error: CallError, *, now: int) -> Shortage:
    """Return the refusal of a single item, which comes as a status."""
    known = error.metadata
    names = sorted(key.removesuffix(".required") for key in known if key.endswith(".required"))
    gaps = tuple(
        [
            Gap(
                name,
                int(known[f"{name}.required"]),
                int(known[f"{name}.available"]),
                known[f"{name}.bound"],
                int(known.get(f"{name}.most", "0")),
            )
            for name in names
        ]
    )
    return Shortage(error.reason, gaps, now, int(known["seq"]), RESOURCES)


def _shortages(answer: pb.AllocateResponse, *, now: int) -> list[tuple[int, Shortage]]:
    # What was refused beside a grant was decided as of the record of that grant.
    seq = answer.seq + any(answer.allocation_ids)
    return [
        (
            each.index,
            Shortage(
                each.reason,
                tuple([Gap(gap.dimension, gap.required, gap.available, gap.bound, gap.most) for gap in each.gaps]),
                now,
                seq,
                RESOURCES,
            ),
        )
        for each in answer.refused
    ]

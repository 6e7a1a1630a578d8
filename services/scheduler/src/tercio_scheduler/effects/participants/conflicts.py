"""The conflicts service as a participant: claims on things."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import grpc
from google.protobuf.duration_pb2 import Duration

from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
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
from tercio_scheduler.state.participants import CONFLICTS
from tercio_scheduler.state.rows import ClaimSpec, Needs
from tercio_scheduler.state.shortages import Blocker, Shortage

if TYPE_CHECKING:
    from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceAsyncStub

_MOST_ITEMS: Final = 1_000
"""Items of one call."""


class ConflictsParticipant:
    """Implements `Participant`."""

    name = CONFLICTS

    def __init__(self, peers: Peers, *, owner_ttl_ms: int) -> None:
        """Ask the conflicts service of the fleet; claims outlive their last renewal by `owner_ttl_ms`."""
        self._peers = peers
        self._ttl = Duration(seconds=owner_ttl_ms // 1000, nanos=owner_ttl_ms % 1000 * 1_000_000)

    @asynccontextmanager
    async def connect(self, host: Host) -> AsyncIterator[Link]:
        async with self._peers.remote(CONFLICTS, ClaimServiceStub, host=host) as remote:
            yield _ConflictsLink(remote, host, self._ttl)


class _ConflictsLink:
    def __init__(self, remote: Remote[ClaimServiceAsyncStub], host: Host, ttl: Duration) -> None:
        self.route = remote.route
        self._remote, self._host, self._ttl = remote, host, ttl

    async def ask(
        self, keys: Sequence[AttemptKey], needs: Sequence[Needs], *, request_id: str
    ) -> Mapping[int, Shortage]:
        refused: dict[int, Shortage] = {}
        for number, places in enumerate(_calls(needs)):
            refused |= await self._acquire(keys, needs, places, request_id=f"{request_id}-{number}")
        return refused

    async def _acquire(
        self, keys: Sequence[AttemptKey], needs: Sequence[Needs], places: Sequence[int], *, request_id: str
    ) -> Mapping[int, Shortage]:
        """Ask for those at these places, who are of one priority: each gets all that it claims or nothing."""
        items = [(place, claim) for place in places for claim in needs[place].claims]
        request = pb.AcquireClaimsRequest(
            request_id=request_id,
            things=[_thing(claim) for _, claim in items],
            modes=[cast("claim_pb2.Claim.Mode.ValueType", claim.mode) for _, claim in items],
            owners=[owner_of(keys[place]) for place, _ in items],
            atomicity=pb.AcquireClaimsRequest.ATOMICITY_OWNER,
            priority=needs[places[0]].lane.priority,
            ttl=self._ttl,
        )
        now = self._host.moment().now
        try:
            answer = await self._remote.unary(lambda stub: stub.AcquireClaims, request, timeout_s=ANSWER_S)
        except CallError as error:
            if len(items) == 1 and "seq" in error.metadata:
                return {places[0]: _single(error, items[0][1], now=now)}
            raise
        return _shortages(answer, [place for place, _ in items], now=now)

    async def renew(self, held: Mapping[str, Needs], *, timeout_s: float) -> Collection[str]:
        request = pb.RenewClaimsRequest(owners=held, claim_counts=[len(needs.claims) for needs in held.values()])
        response = await self._remote.unary(lambda stub: stub.RenewClaims, request, timeout_s=timeout_s)
        return response.unknown_owners

    async def release(self, owners: Mapping[str, str]) -> None:
        request = pb.ReleaseClaimsRequest(request_id=new_request_id(), owners=owners)
        await self._remote.unary(lambda stub: stub.ReleaseClaims, request)

    async def changes(self) -> AsyncGenerator[Change]:
        # Of what is claimed nothing is chosen: only what is released helps anybody who waits, and that is always shown.
        request = pb.WatchClaimsRequest(expression="id = 0")
        call = self._remote.stub().WatchClaims(request, metadata=FOLLOW_LEADER)
        try:
            async for response in call:
                yield Change(response.seq)
        except grpc.RpcError as failure:
            raise error_of(failure) from failure
        finally:
            call.cancel()


def _calls(needs: Sequence[Needs]) -> Iterator[list[int]]:
    """Give the places that are asked for in one call: of one priority, and not too many items."""
    by_priority: dict[int, list[int]] = {}
    for place, each in enumerate(needs):
        by_priority.setdefault(each.lane.priority, []).append(place)
    for places in by_priority.values():
        call: list[int] = []
        items = 0
        for place in places:
            items += len(needs[place].claims)
            if call and items > _MOST_ITEMS:
                yield call
                call, items = [], len(needs[place].claims)
            call.append(place)
        yield call


def _thing(claim: ClaimSpec) -> claim_pb2.Thing:
    kind = cast("claim_pb2.Thing.Kind.ValueType", claim.kind)
    return claim_pb2.Thing(kind=kind, scope=claim.scope, name=claim.name)


def _single(error: CallError, claim: ClaimSpec, *, now: int) -> Shortage:
    """Return the refusal of a single item, which comes as a status."""
    known = error.metadata
    blockers = (Blocker(known["owner"], claim),) if known.get("owner") else ()
    return Shortage(error.reason, (), now, int(known["seq"]), CONFLICTS, blockers=blockers)


def _shortages(answer: pb.AcquireClaimsResponse, places: Sequence[int], *, now: int) -> Mapping[int, Shortage]:
    # What was refused beside a grant was decided as of the record of that grant.
    seq = answer.seq + any(answer.claim_ids)
    reasons = {places[each.index]: each for each in reversed(answer.refused)}
    return {
        place: Shortage(
            reasons[place].reason, (), now, seq, CONFLICTS, blockers=tuple(map(_blocker, reasons[place].blockers))
        )
        for place, claim_id in zip(places, answer.claim_ids, strict=True)
        if not claim_id
    }


def _blocker(message: pb.Blocker) -> Blocker:
    thing = message.thing
    return Blocker(message.owner, ClaimSpec(thing.kind, thing.scope, thing.name, message.mode))

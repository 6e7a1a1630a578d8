"""Claims on things with a name: held while a block runs, renewed in the background, given back at its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.duration_pb2 import Duration

from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.claim_tokens import environment_of, token_of
from tercio.claim_watching import ClaimChange, ClaimSource, Hearing
from tercio.errors import ClaimLostError
from tercio.renewals import Lease, Renewals
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError, ConflictError, DeadlineExceededError, UnavailableError
from tercio.rpc.remote import Remote
from tercio.things import MODES, ClaimMode, thing
from tercio.watching import Watch, listed

if TYPE_CHECKING:
    from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceAsyncStub

_ANSWER_S: Final = 5.0
"""Beyond the wait itself: for the commit, and for a change of leader."""
_MOST_WAIT_S: Final = 150.0
"""Of one call. Who waits longer asks again, and then stands behind those of its priority who waited meanwhile."""
_A_CALL: Final = 1000


class _Block(NamedTuple):
    """A block that holds claims."""

    client: str
    owner: str
    task: asyncio.Task[Any] | None


_BLOCK: ContextVar[_Block | None] = ContextVar("tercio_claims_block", default=None)


@contextlib.contextmanager
def _around(block: _Block) -> Iterator[None]:
    before = _BLOCK.get()
    _BLOCK.set(block)
    try:
        yield
    finally:
        _BLOCK.set(before)


class ReleaseRequest(NamedTuple):
    """Somebody wants what is held.

    Attributes:
        asked_by: who.
        because: why, in their words; may be empty.
        yield_time_s: when it is released in any case, in seconds since 1970.
    """

    asked_by: str
    because: str
    yield_time_s: float


class HeldClaim:
    """What a block holds.

    Attributes:
        owner: under which it is held.
        claims: as they were granted, in the order of the names.
        token: of them the highest: give it to whatever is written to, which must refuse a lower one after a higher one.
        lost: set when nothing may be written under it any more: it was released, or is about to be because its lease
            ends or somebody asked for it.
        asked: set when somebody asked for its release; give it back soon.
        request: who asked last, if anybody did.
    """

    def __init__(self, claims: Sequence[claim_pb2.Claim], lease: Lease) -> None:
        self.owner = lease.owner
        self.claims = claims
        self.tokens = {claim.claim_id: token_of(claim.token) for claim in claims}
        self.token = max(self.tokens.values())
        self.lost = lease.lost
        self.asked = asyncio.Event()
        self.request: ReleaseRequest | None = None
        self._lease = lease
        self._granted = time.monotonic()

    @property
    def environment(self) -> dict[str, str]:
        """What tells a program that it runs under these claims; the git hook reads it."""
        return environment_of(self.owner, self.tokens)

    @property
    def left_s(self) -> float:
        """How long until others may have it, when it is lost: the time to stop in."""
        return self._lease.left_s

    def note(self, change: ClaimChange) -> None:
        """Take in what became of one of the claims."""
        if change.claim is None:
            self._lease.lose()
        elif change.claim.state == claim_pb2.Claim.STATE_YIELDING:
            ends_s = change.claim.yield_time.ToMicroseconds() / 1e6
            self.request = ReleaseRequest(change.claim.asked_by, change.claim.asked_because, ends_s)
            self.asked.set()
            # Counted from the grant, so that the fleet's wall clock need not agree with ours.
            after_s = ends_s - change.claim.grant_time.ToMicroseconds() / 1e6
            self._lease.limit(self._granted + after_s - time.monotonic())


class Claims:
    """What a client holds, and what it may ask about what others hold."""

    def __init__(self, remote: Remote[ClaimServiceAsyncStub], *, timeout_s: float | None = None) -> None:
        """Ask that service, each time for so long; by default as the contract says."""
        self._remote = remote
        self._timeout_s = timeout_s
        self._renewals = Renewals(self._renew)
        self._name = f"client-{new_request_id()}"
        self._count = 0
        self._hearing = Hearing(remote, name=self._name)

    @asynccontextmanager
    async def hold(
        self,
        *names: str | claim_pb2.Thing,
        mode: ClaimMode = "exclusive",
        scope: str = "",
        owner: str = "",
        priority: int = 0,
        ttl_s: float = 60.0,
        wait_s: float = 0.0,
        preempt: bool = False,
        purpose: str = "",
        cancel_when_lost: bool = True,
    ) -> AsyncIterator[HeldClaim]:
        """Hold all of these things, or none, while the block runs.

        Args:
            names: paths and globs from the top of the scope, or things; see `tercio.things.thing`.
            mode: `exclusive` to edit, `shared` to read, `intent` to edit later.
            scope: of the names; for files `Repository(path).scope`, see `tercio.repository`.
            owner: who holds it; claims of one owner never collide. By default that of the block around it in the same
                task, else a new name; so tasks exclude each other.
            priority: 0 to 9, for who waits and whom holders yield to.
            ttl_s: how long it outlives this process, 1 s to 24 h; it is renewed three times as often.
            wait_s: how long to wait for it; 0 is refused at once.
            preempt: ask holders of lower priorities to release.
            purpose: for people.
            cancel_when_lost: end the block as soon as the claims are lost. Otherwise watch `lost`.

        Raises:
            ConflictError: CLAIM_CONFLICT, others hold it and did not release it in time; DEADLOCK_VICTIM, those who
                wait would have waited for each other.
            ClaimLostError: the claims were lost within the block, which was cancelled.
        """
        is_ours = not (owner or (owner := self._owner_around()))
        request = pb.AcquireClaimsRequest(
            things=[thing(name, scope=scope) if isinstance(name, str) else name for name in names],
            modes=[MODES[mode]],
            owners=[owner or self._new_owner()],
            atomicity=pb.AcquireClaimsRequest.ATOMICITY_BATCH,
            priority=priority,
            ttl=_duration(ttl_s),
            purpose=purpose,
            preempt=preempt,
        )
        async with self._hearing.of(request.owners[0]):
            held, lease = await self._acquire(request, wait_s=wait_s, is_ours=is_ours)
            numbers = list(held.tokens)
            try:
                async with self._hearing.told_to(held.note, numbers), _ended_when_lost(held, wanted=cancel_when_lost):
                    with _around(_Block(self._name, held.owner, asyncio.current_task())):
                        yield held
            finally:
                await self._renewals.end(lease)
                with contextlib.suppress(CallError):  # then the lease ends by itself
                    await self.release(numbers)

    async def release(self, claim_ids: Sequence[int]) -> int:
        """Release claims, whoever holds them; return how many were there."""
        request = pb.ReleaseClaimsRequest(request_id=new_request_id(), claim_ids=claim_ids)
        return (
            await self._remote.unary(lambda stub: stub.ReleaseClaims, request, timeout_s=self._timeout_s)
        ).released_count

    async def renew(self, owners: Sequence[str]) -> Sequence[str]:
        """Renew all that these owners hold; return those that hold nothing. What a block holds needs no help."""
        request = pb.RenewClaimsRequest(owners=owners)
        return (
            await self._remote.unary(lambda stub: stub.RenewClaims, request, timeout_s=self._timeout_s)
        ).unknown_owners

    async def request_release(
        self, claim_ids: Sequence[int], *, asked_by: str, priority: int = 0, because: str = ""
    ) -> list[claim_pb2.Claim]:
        """Ask the holders of claims to release them; return the claims as they are now.

        Raises:
            NotFoundError: one of them is not held.
        """
        request = pb.RequestReleaseRequest(
            request_id=new_request_id(), claim_ids=claim_ids, asked_by=asked_by, priority=priority, because=because
        )
        return list(
            (await self._remote.unary(lambda stub: stub.RequestRelease, request, timeout_s=self._timeout_s)).claims
        )

    async def blockers(
        self, things: Sequence[claim_pb2.Thing], *, mode: ClaimMode = "exclusive", owner: str = ""
    ) -> list[tuple[claim_pb2.Thing, pb.Blocker]]:
        """Return what others hold, or wait for, that is in the way of claims on these things."""
        found = []
        for begin in range(0, len(things), _A_CALL):
            asked = things[begin : begin + _A_CALL]
            request = pb.CheckClaimsRequest(things=asked, modes=[MODES[mode]], owner=owner)
            response = await self._remote.unary(lambda stub: stub.CheckClaims, request, timeout_s=self._timeout_s)
            found += [(asked[each.index], blocker) for each in response.blocked for blocker in each.blockers]
        return found

    async def verdicts(
        self, checks: Sequence[pb.CheckTokensRequest.Check]
    ) -> list[pb.CheckTokensResponse.Verdict.ValueType]:
        """Return of each token whether it still holds, and covers what is to be written."""
        found: list[pb.CheckTokensResponse.Verdict.ValueType] = []
        for begin in range(0, len(checks), _A_CALL):
            request = pb.CheckTokensRequest(checks=checks[begin : begin + _A_CALL])
            found += (
                await self._remote.unary(lambda stub: stub.CheckTokens, request, timeout_s=self._timeout_s)
            ).verdicts
        return found

    def list(
        self, *, expression: str = "", overlapping: claim_pb2.Thing | None = None
    ) -> AsyncIterator[claim_pb2.Claim]:
        """Yield claims in the order of their ids.

        Args:
            expression: in the filter language of AIP-160, for instance `owner = "a" AND mode = EXCLUSIVE`.
            overlapping: only claims on what has something in common with it.
        """
        return listed(ClaimSource(self._remote, expression, overlapping).claims)

    def watch(self, *, expression: str = "", cursor: str = "", existing: bool = False) -> Watch[ClaimChange]:
        """Yield claims whenever they change, from a cursor or from now on; see `Watch`. Every release is shown."""
        return Watch(ClaimSource(self._remote, expression), cursor=cursor, existing=existing)

    def _owner_around(self) -> str:
        """Return the owner of the block around this call, so that nested claims do not collide; empty without one."""
        block = _BLOCK.get()
        is_this = block is not None and (block.client, block.task) == (self._name, asyncio.current_task())
        return block.owner if block is not None and is_this else ""

    def _new_owner(self) -> str:
        self._count += 1
        return f"{self._name}/{self._count}"

    async def _acquire(
        self, request: pb.AcquireClaimsRequest, *, wait_s: float, is_ours: bool
    ) -> tuple[HeldClaim, Lease]:
        until = time.monotonic() + wait_s
        while True:
            asked = time.monotonic()
            left_s = min(max(0.0, until - asked), _MOST_WAIT_S)
            try:
                response = await self._ask(request, wait_s=left_s)
            except ConflictError as error:
                if error.reason != "CLAIM_CONFLICT" or time.monotonic() >= until:
                    raise
            except (UnavailableError, DeadlineExceededError, asyncio.CancelledError):
                # Whether it was granted is not known. A name that only we have can be barred.
                if is_ours:
                    await self._bar(request.owners[0])
                raise
            else:
                lease = self._renewals.begin(
                    request.owners[0], ttl_s=_seconds(request.ttl), since=asked, count=len(request.things)
                )
                return HeldClaim(_granted(request, response), lease), lease

    async def _ask(self, request: pb.AcquireClaimsRequest, *, wait_s: float) -> pb.AcquireClaimsResponse:
        request.request_id = new_request_id()
        request.wait_timeout.CopyFrom(_duration(wait_s))
        timeout_s = wait_s + _ANSWER_S if wait_s else self._timeout_s
        return await self._remote.unary(
            lambda stub: stub.AcquireClaims, request, timeout_s=timeout_s, try_timeout_s=timeout_s
        )

    async def _bar(self, owner: str) -> None:
        request = pb.ReleaseClaimsRequest(request_id=new_request_id(), owners=[owner])
        with contextlib.suppress(CallError):  # then what was granted ends with its lease
            await self._remote.unary(lambda stub: stub.ReleaseClaims, request, timeout_s=_ANSWER_S)

    async def _renew(self, owners: Mapping[str, int], timeout_s: float) -> Collection[str]:
        request = pb.RenewClaimsRequest(owners=list(owners), claim_counts=list(owners.values()))
        return (await self._remote.unary(lambda stub: stub.RenewClaims, request, timeout_s=timeout_s)).unknown_owners


@asynccontextmanager
async def _ended_when_lost(held: HeldClaim, *, wanted: bool) -> AsyncGenerator[None, None]:
    scope = asyncio.timeout(None)

    async def end() -> None:
        await held.lost.wait()
        scope.reschedule(0.0)

    if not wanted:
        yield
        return
    try:
        async with scope:
            ending = asyncio.create_task(end())
            try:
                yield
            finally:
                ending.cancel()
    except TimeoutError:
        if not scope.expired():
            raise
        raise ClaimLostError(held.owner, list(held.tokens)) from None


def _granted(request: pb.AcquireClaimsRequest, response: pb.AcquireClaimsResponse) -> list[claim_pb2.Claim]:
    return [
        claim_pb2.Claim(
            claim_id=claim_id,
            owner=request.owners[0],
            thing=named,
            mode=request.modes[0],
            priority=request.priority,
            ttl=request.ttl,
            purpose=request.purpose,
            token=claim_pb2.FencingToken(epoch=response.epoch, number=claim_id),
            state=claim_pb2.Claim.STATE_HELD,
        )
        for named, claim_id in zip(request.things, response.claim_ids, strict=True)
    ]


def _seconds(duration: Duration) -> float:
    return duration.ToMicroseconds() / 1e6


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))

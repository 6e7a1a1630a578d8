"""How claims are listed and watched, and how holders hear what becomes of theirs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import grpc

from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.rpc.channels import FOLLOW_LEADER, Route
from tercio.rpc.remote import Remote
from tercio.watching import Change, Page, Watch

if TYPE_CHECKING:
    from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceAsyncStub


class ClaimChange(NamedTuple):
    """What became of a claim.

    Attributes:
        claim_id: names it.
        claim: as it is now; None when it was released.
    """

    claim_id: int
    claim: claim_pb2.Claim | None


class ClaimSource:
    """Lists and watches claims."""

    def __init__(
        self,
        remote: Remote[ClaimServiceAsyncStub],
        expression: str = "",
        overlapping: claim_pb2.Thing | None = None,
    ) -> None:
        """Select by an expression, and for lists by what they have in common with a thing."""
        self.route: Route = remote.route
        self._remote = remote
        self._expression = expression
        self._overlapping = overlapping

    async def claims(self, token: str, *, page_size: int = 0) -> Page[claim_pb2.Claim]:
        """Read one page; the empty token is the first."""
        request = pb.ListClaimsRequest(
            page_token=token, page_size=page_size, expression=self._expression, overlapping=self._overlapping
        )
        response = await self._remote.unary(lambda stub: stub.ListClaims, request)
        return Page(response.claims, response.next_page_token, response.cursor)

    def page(self, token: str) -> Awaitable[Page[ClaimChange]]:
        return self._page(token)

    def watch(self, cursor: str) -> grpc.aio.UnaryStreamCall[pb.WatchClaimsRequest, pb.WatchClaimsResponse]:
        request = pb.WatchClaimsRequest(cursor=cursor, expression=self._expression)
        return self._remote.stub().WatchClaims(request, metadata=FOLLOW_LEADER)

    def change(self, response: pb.WatchClaimsResponse) -> Change[ClaimChange]:
        released = [ClaimChange(claim_id, None) for claim_id in response.released_claim_ids]
        return Change([ClaimChange(claim.claim_id, claim) for claim in response.claims] + released, response.cursor)

    async def _page(self, token: str) -> Page[ClaimChange]:
        page = await self.claims(token)
        return Page([ClaimChange(claim.claim_id, claim) for claim in page.items], page.next_page_token, page.cursor)


class Hearing:
    """Tells holders what becomes of their claims: one watch for all that a client holds.

    It begins before a claim is asked for, so nothing that becomes of it is missed.
    """

    def __init__(self, remote: Remote[ClaimServiceAsyncStub], *, name: str) -> None:
        """Watch that service. All owners that begin with the name are watched at once."""
        self._remote = remote
        self._name = name
        self._owners: Counter[str] = Counter()
        self._holders: dict[int, Callable[[ClaimChange], None]] = {}
        self._early: dict[int, ClaimChange] = {}
        self._changes: Watch[ClaimChange] | None = None
        self._watched: frozenset[str] = frozenset()
        self._following: asyncio.Task[None] | None = None
        self._switching = asyncio.Lock()

    @asynccontextmanager
    async def of(self, owner: str) -> AsyncIterator[None]:
        """Watch what becomes of an owner's claims while the block runs, in which they are claimed and held."""
        self._owners[owner] += 1
        try:
            await self._switch()
            yield
        finally:
            self._owners -= Counter([owner])
            await self._switch()

    @asynccontextmanager
    async def told_to(self, holder: Callable[[ClaimChange], None], claim_ids: list[int]) -> AsyncIterator[None]:
        """Tell a holder of each change of its claims, also of those that came before the grant's answer."""
        self._holders.update(dict.fromkeys(claim_ids, holder))
        for claim_id in claim_ids:
            if (change := self._early.pop(claim_id, None)) is not None:
                holder(change)
        try:
            yield
        finally:
            for claim_id in claim_ids:
                del self._holders[claim_id]

    async def _switch(self) -> None:
        """Watch those who are wanted, from where the watch before left off."""
        async with self._switching:
            names = f"{self._name}/"
            wanted = frozenset(f"{names}*" if owner.startswith(names) else owner for owner in self._owners)
            if wanted <= self._watched and bool(wanted) == bool(self._watched):
                return
            if self._following is not None:
                self._following.cancel()
                await asyncio.gather(self._following, return_exceptions=True)
                self._following, self._watched = None, frozenset()
            if not wanted:
                self._changes = None
                self._early.clear()
                return
            expression = " OR ".join(f'owner = "{owner}"' for owner in sorted(wanted))
            source = ClaimSource(self._remote, expression)
            cursor = (
                self._changes.cursor if self._changes is not None else (await source.claims("", page_size=1)).cursor
            )
            self._changes, self._watched = Watch(source, cursor=cursor), wanted
            self._following = asyncio.create_task(self._follow(self._changes))

    async def _follow(self, changes: Watch[ClaimChange]) -> None:
        async with changes:
            async for change in changes:
                holder = self._holders.get(change.claim_id)
                if holder is not None:
                    holder(change)
                elif change.claim is not None or change.claim_id in self._early:  # releases are told of all claims
                    self._early[change.claim_id] = change

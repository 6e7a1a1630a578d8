"""What an attempt claims: granted before it was offered, and given back by the scheduler when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.attempts import Attempt, FencingToken, owner_of
from tercio.claim_tokens import environment_of, token_of
from tercio.rpc.remote import Remote
from tercio.things import text_of

if TYPE_CHECKING:
    from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceAsyncStub

_ANSWER_S: Final = 10.0
_A_PAGE: Final = 1_000


class AttemptClaim(NamedTuple):
    """One thing that an attempt claims.

    Attributes:
        claim_id: names the claim.
        name: of the thing; of a file or glob its path.
        scope: where the name means something.
        token: give it to whatever is written to, which must refuse a lower one after a higher one.
    """

    claim_id: int
    name: str
    scope: str
    token: FencingToken


class HeldClaims:
    """Asks which claims an attempt holds."""

    def __init__(self, remote: Remote[ClaimServiceAsyncStub]) -> None:
        """Ask the service at `remote`."""
        self._remote = remote

    async def of(self, attempt: Attempt) -> list[AttemptClaim]:
        """Return the claims; without asking anybody when the attempt was admitted without any."""
        if not attempt.claim_count:
            return []
        request = pb.ListClaimsRequest(expression=f'owner = "{owner_of(attempt)}"', page_size=_A_PAGE)
        response = await self._remote.unary(lambda stub: stub.ListClaims, request, timeout_s=_ANSWER_S)
        return [
            AttemptClaim(claim.claim_id, text_of(claim.thing), claim.thing.scope, token_of(claim.token))
            for claim in response.claims
        ]


def environment_for(attempt: Attempt, claims: Sequence[AttemptClaim]) -> dict[str, str]:
    """Return what tells a program of the attempt's claims."""
    return environment_of(owner_of(attempt), {claim.claim_id: claim.token for claim in claims})

"""Whether a commit may be made: nobody else holds what it changes, and the claims that it is made under still hold.

The claims are renewed first, so that they outlast the moment between this check and git's write by all of their TTL: a
holder that is stopped in between, for longer than that, is the one case that no check before a write can exclude.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.api.type.v1.epoch_pb2 import Epoch
from tercio.claims import Claims
from tercio.repository import Change, escaped
from tercio.things import thing

_TOKEN: Final = re.compile(r"(\d{1,20}):(\d{1,20})\.(\d{1,20})\.(\d{1,20})")


@dataclass(frozen=True, slots=True)
class Committer:
    """Under which claims a commit is made.

    Attributes:
        owner: who holds them; empty for somebody without claims.
        tokens: of each claim its token.
    """

    owner: str = ""
    tokens: Mapping[int, claim_pb2.FencingToken] = field(default_factory=dict)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Committer:
        """Read what `HeldClaim.environment` says."""
        found = {}
        for text in environment.get("TERCIO_CLAIM_TOKENS", "").split():
            if match := _TOKEN.fullmatch(text):
                number, generation, revision, token = map(int, match.groups())
                found[number] = claim_pb2.FencingToken(
                    epoch=Epoch(generation=generation, revision=revision), number=token
                )
        return cls(environment.get("TERCIO_CLAIM_OWNER", ""), found)


async def objections(
    claims: Claims, changes: Sequence[Change], *, scope: str, committer: Committer, must_claim: bool
) -> list[str]:
    """Return, for people, all that speaks against a commit.

    Args:
        claims: whom to ask.
        changes: what the commit changes.
        scope: the repository.
        committer: who makes it.
        must_claim: whether each path must be covered by an exclusive claim of the committer.

    Raises:
        CallError: the service did not answer, or refused to.
    """
    things = [each for change in changes for each in _things(change, scope)]
    if committer.owner:
        await claims.renew([committer.owner])
    found = await _lost(claims, committer)
    for named, blocker in await claims.blockers(things, owner=committer.owner):
        if blocker.claim_id:  # who only waits holds nothing
            mode = claim_pb2.Claim.Mode.Name(blocker.mode).removeprefix("MODE_").lower()
            found.append(f"{named.name} is held by {blocker.owner} ({mode} claim {blocker.claim_id})")
    if must_claim:
        found += await _uncovered(claims, changes, scope, committer)
    return list(dict.fromkeys(found))


async def _lost(claims: Claims, committer: Committer) -> list[str]:
    checks = [
        pb.CheckTokensRequest.Check(claim_id=claim_id, token=token) for claim_id, token in committer.tokens.items()
    ]
    verdicts = await claims.verdicts(checks)
    return [
        f"claim {check.claim_id}, under which this is committed, was lost: others may have changed what it covers"
        for check, verdict in zip(checks, verdicts, strict=True)
        if verdict == pb.CheckTokensResponse.VERDICT_STALE
    ]


async def _uncovered(claims: Claims, changes: Sequence[Change], scope: str, committer: Committer) -> list[str]:
    """Tell which paths no claim of the committer covers; a submodule is covered with all that it holds."""
    left = list(changes)
    for claim_id, token in committer.tokens.items():
        written = [(change, each) for change in left for each in _things(change, scope)]
        checks = [pb.CheckTokensRequest.Check(claim_id=claim_id, token=token, thing=each) for _, each in written]
        verdicts = await claims.verdicts(checks)
        covered = {
            change
            for (change, _), verdict in zip(written, verdicts, strict=True)
            if verdict == pb.CheckTokensResponse.VERDICT_CURRENT
        }
        left = [change for change in left if change not in covered]
    return [f"{change.path} is not claimed by who commits it" for change in left]


def _things(change: Change, scope: str) -> list[claim_pb2.Thing]:
    """Return what a change writes; another commit of a submodule is another content of all that it holds."""
    written = [thing(change.path, scope=scope, kind="file")]
    if change.is_submodule:
        written.append(thing(escaped(change.path) + "/**", scope=scope, kind="glob"))
    return written

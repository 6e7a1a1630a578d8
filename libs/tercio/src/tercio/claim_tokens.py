"""Fencing tokens of claims, and how a program is told of those that it runs under."""

from __future__ import annotations

from collections.abc import Mapping

from tercio.api.conflicts.v1 import claim_pb2
from tercio.attempts import FencingToken


def token_of(message: claim_pb2.FencingToken) -> FencingToken:
    """Return a token as it is compared."""
    return FencingToken(message.epoch.generation, message.epoch.revision, message.number)


def environment_of(owner: str, tokens: Mapping[int, FencingToken]) -> dict[str, str]:
    """Return what tells a program that it runs under claims, by their ids; the git hook reads it."""
    if not tokens:
        return {}
    return {
        "TERCIO_CLAIM_OWNER": owner,
        "TERCIO_CLAIM_TOKEN": str(max(tokens.values())),
        "TERCIO_CLAIM_TOKENS": " ".join(f"{number}:{token}" for number, token in tokens.items()),
    }

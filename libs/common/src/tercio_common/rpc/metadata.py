"""Names of the metadata that Tercio reads and writes, and how they are read.

All are ASCII, short (metadata over 8 kB in sum is refused at random) and start with `tercio-`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LEADER = "tercio-leader"
"""In a reply's initial metadata: `host:port` of the leader that answered a forwarded call."""
ACCEPTED = "tercio-accepted"
"""In the initial metadata of a stream of requests: the call passed the edge, and messages are read from now on.

Python's client loses the status of a call that ends while it writes; one that waits for this learns every refusal.
"""
FOLLOW = "tercio-follow"
"""`1`: the client finds the leader by itself; a follower answers its streams with NOT_LEADER."""
HOP = "tercio-hop"
"""How often the call was forwarded."""
FORWARDED_PRINCIPAL = "tercio-forwarded-principal"
"""Whom a replica speaks for."""
REPLICA_TOKEN = "tercio-replica-token"  # noqa: S105 - the name of a key, not a secret
"""Proves a process of the fleet."""
PEER = "tercio-peer"
"""`role/shard/generation/revision`: the leader for which a process of the fleet calls another service."""
AGE = "tercio-age-ms"
"""Milliseconds since the request was first sent; grows with each retry."""
REQUEST_ID = "tercio-request-id"
"""Names one call in logs and traces; echoed in the trailing metadata. Not the `request_id` of the message."""
DURATION = "tercio-duration-ms"
"""In the trailing metadata of unary calls: time in this server, in milliseconds with three decimals."""

Pairs = Iterable[tuple[str, str | bytes]]
Values = Mapping[str, str]
_OF_ONE_HOP = frozenset({FOLLOW, HOP, FORWARDED_PRINCIPAL, REPLICA_TOKEN, REQUEST_ID})


def text_values(pairs: Pairs | None) -> dict[str, str]:
    """Return textual metadata by key; the last value of a repeated key counts."""
    return {key: value for key, value in pairs or () if isinstance(value, str)}


def passed_on(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the metadata of a call that a forwarded call carries too: what concerns neither transport nor one hop."""
    return [(key, value) for key, value in metadata.items() if key.startswith("tercio-") and key not in _OF_ONE_HOP]

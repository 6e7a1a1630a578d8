"""What the fleet issued to an agent when it registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from tercio.api.registry.v1 import registration_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Something with which an agent proves who it is or what it may do. It is revoked when the agent's process ends.

    Attributes:
        credential_id: names it, for instance in the issuer's list of what is revoked.
        kind: what it is, for instance `x509` or `token`.
        secret: the credential itself.
        expires: from when on it is good for nothing; None when it does not expire.
    """

    credential_id: str
    kind: str
    secret: bytes = field(repr=False)
    expires: datetime | None = None


def credential_of(message: registration_pb2.Credential) -> Credential:
    """Translate what the registry answered."""
    expires = message.expire_time.ToDatetime(UTC) if message.HasField("expire_time") else None
    return Credential(credential_id=message.credential_id, kind=message.kind, secret=message.secret, expires=expires)

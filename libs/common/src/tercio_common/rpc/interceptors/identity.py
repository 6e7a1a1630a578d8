"""Who calls, and whether they may.

Three identities are built in. `local` is whoever reaches the process over loopback or a Unix socket, or anybody where
the settings trust the network. `replica` is a process of the fleet, which proves it by the shared token. And a process
of the fleet may speak for its own caller, whose principal it names. Without a configured token loopback counts as
proof, for one-machine fleets.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import ipaddress
import re
import urllib.parse
from collections.abc import Iterator

from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.machine.calls import Peer
from tercio_common.rpc import metadata
from tercio_common.rpc.authorisation import Authorisation
from tercio_common.rpc.incoming import Incoming
from tercio_common.rpc.principal import LOCAL, REPLICA

_PEER = re.compile(r"([a-z]{1,32})/(\d{1,4})/(\d{1,18})/(\d{1,18})", re.ASCII)


class Identity:
    """See the module."""

    def __init__(self, authorisation: Authorisation, *, replica_token: str, trust_network: bool) -> None:
        """Check callers against `authorisation`; an empty token is none."""
        self._authorisation = authorisation
        self._token = replica_token.encode()
        self._trust_network = trust_network

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Set the call's principal, or refuse with UNAUTHENTICATED or PERMISSION_DENIED."""
        local = self._trust_network or is_local(call.context.peer())
        proved = self._proved_replica(call.metadata)
        call.principal = self._principal(call.metadata, local=local, proved=proved)
        replica = call.principal == REPLICA or (local and not self._token)
        self._authorisation.check(call.method.path, principal=call.principal, replica=replica)
        call.peer = _peer(call.metadata, replica=replica)
        yield

    def _principal(self, values: metadata.Values, *, local: bool, proved: bool) -> str:
        speaks_for = values.get(metadata.FORWARDED_PRINCIPAL)
        if speaks_for:
            if proved or (local and not self._token):
                return speaks_for
            raise Refusal("PERMISSION_DENIED", "only a process of the fleet may speak for another caller")
        if proved:
            return REPLICA
        if local:
            return LOCAL
        raise Refusal(
            "UNAUTHENTICATED",
            "callers of other machines need an identity; call over loopback, or set TERCIO_SERVER__TRUST_NETWORK "
            "where only Tercio's own callers reach this server",
        )

    def _proved_replica(self, values: metadata.Values) -> bool:
        given = values.get(metadata.REPLICA_TOKEN)
        if given is None:
            return False
        if self._token and hmac.compare_digest(given.encode(), self._token):
            return True
        raise Refusal("UNAUTHENTICATED", "the replica token is not this fleet's; all its processes need the same one")


def _peer(values: metadata.Values, *, replica: bool) -> Peer | None:
    """Return the leader that calls; anybody else who named one could fence the real one off."""
    text = values.get(metadata.PEER)
    if text is None:
        return None
    if not replica:
        raise Refusal("PERMISSION_DENIED", "only a process of the fleet may call for a leader")
    found = _PEER.fullmatch(text)
    if found is None:
        raise Refusal("INVALID_ARGUMENT", f"metadata {metadata.PEER} must match {_PEER.pattern}")
    role, *numbers = found.groups()
    shard, generation, revision = map(int, numbers)
    return Peer(role, shard, Epoch(generation, revision))


@functools.lru_cache(maxsize=4096)  # a peer is a connection, and has many calls
def is_local(peer: str) -> bool:
    """Tell whether gRPC's name of a peer is loopback or a Unix socket."""
    scheme, _, rest = urllib.parse.unquote(peer).partition(":")
    if scheme == "unix":
        return True
    if scheme not in {"ipv4", "ipv6"}:
        return False
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)

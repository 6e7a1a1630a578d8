"""Calls to other services of the fleet: the one place where they get proof, trace and epoch.

A call carries for which leader it is made. A service that has seen a later one refuses it with STALE_EPOCH, and the
leader that learns so steps down. Should it be elected again with an epoch that is still lower, the store was restored
from a backup, and its process stops: see `Host.outranked`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from grpc.aio import ClientCallDetails, Metadata

from tercio.rpc.channels import Channels, Route
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio_common.epochs import Epoch
from tercio_common.machine.calls import Peer
from tercio_common.machine.host import Host
from tercio_common.rpc import metadata
from tercio_common.rpc.outgoing import fleet_metadata
from tercio_common.settings import ProcessSettings

StubT = TypeVar("StubT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Where the other services of the fleet answer, and what proves that a process is of the fleet.

    Attributes:
        addresses: `host:port` of one replica or of several, separated by commas, by the service's name; a service
            that is not there is not called.
        replica_token: the fleet's shared secret; empty where loopback is the proof.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    replica_token: str = field(default="", repr=False)

    def has(self, service: str) -> bool:
        """Tell whether the fleet has that service."""
        return bool(self.addresses.get(service))

    @asynccontextmanager
    async def remote(
        self, service: str, stub: Callable[[grpc.aio.Channel], StubT], *, host: Host
    ) -> AsyncIterator[Remote[StubT]]:
        """Reach another service for the present leadership of `host`.

        Every call, unary or stream, is stamped. Pass what fails to `note_refusal`.
        """
        stamp = _Stamp(Peer(host.name, 0, host.epoch), replica_token=self.replica_token)
        channels = Channels(interceptors=(_UnaryStamp(stamp), _StreamStamp(stamp)))
        try:
            replicas = [address.strip() for address in self.addresses[service].split(",")]
            yield Remote(Route(channels, replicas), stub)
        finally:
            await channels.close()


NO_PEERS = Peers()
"""A service that stands alone."""


def peers_of(settings: ProcessSettings) -> Peers:
    """Return the way to other services that a process's settings name."""
    return Peers(
        addresses={
            "conflicts": settings.conflicts_address,
            "registry": settings.registry_address,
            "resources": settings.resources_address,
            "scheduler": settings.scheduler_address,
        },
        replica_token=settings.server.replica_token.get_secret_value(),
    )


def note_refusal(error: CallError | None, *, host: Host) -> None:
    """Let the leader step down if a peer refused it with STALE_EPOCH; anything else is the caller's to handle."""
    if error is not None and error.reason == "STALE_EPOCH":
        known = (int(error.metadata.get(key, "0")) for key in ("generation", "revision"))
        host.outranked(Epoch(*known))


class _Stamp:
    """Adds to each call what a process of the fleet says of itself."""

    def __init__(self, peer: Peer, *, replica_token: str) -> None:
        role, shard, (generation, revision) = peer
        self._peer = f"{role}/{shard}/{generation}/{revision}"
        self._token = replica_token

    def on(self, details: ClientCallDetails) -> ClientCallDetails:
        added = [*fleet_metadata(replica_token=self._token), (metadata.PEER, self._peer)]
        return ClientCallDetails(
            method=details.method,
            timeout=details.timeout,
            metadata=Metadata(*(details.metadata or ()), *added),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )


class _UnaryStamp(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, stamp: _Stamp) -> None:
        self._stamp = stamp

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._stamp.on(client_call_details), request)


class _StreamStamp(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, stamp: _Stamp) -> None:
        self._stamp = stamp

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._stamp.on(client_call_details), request)

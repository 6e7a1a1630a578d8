"""Clients that claim files and folders; see `tercio_common.testing.chaos.claimants`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio_common.testing.chaos.claimants import SETTINGS, Claimants
from tercio_common.testing.history import Recorder

__all__ = ["SETTINGS", "claimants"]


@contextlib.asynccontextmanager
async def claimants(addresses: str, recorder: Recorder, *, seed: int) -> AsyncIterator[Claimants]:
    """Give clients of the service at these addresses."""
    channels = Channels()
    try:
        remote = Remote(Route(channels, addresses.split(",")), ClaimServiceStub)
        yield Claimants(remote, recorder.observe, seed=seed)
    finally:
        await channels.close()

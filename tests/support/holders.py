"""Clients that hold parts of one pool; see `tercio_common.testing.chaos.holders`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio_common.testing.chaos.holders import CAPACITY, SETTINGS, Holders
from tercio_common.testing.history import Recorder

__all__ = ["CAPACITY", "SETTINGS", "holders"]


@contextlib.asynccontextmanager
async def holders(addresses: str, recorder: Recorder, *, seed: int) -> AsyncIterator[Holders]:
    """Give clients of the service at these addresses."""
    channels = Channels()
    try:
        remote = Remote(Route(channels, addresses.split(",")), ResourceServiceStub)
        yield Holders(remote, recorder.observe, seed=seed)
    finally:
        await channels.close()

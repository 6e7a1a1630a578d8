"""How the verbs reach the conflicts service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from tercio.addresses import service_addresses
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceStub
from tercio.cli.connect import CALL_TIMEOUT_S
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

T = TypeVar("T")


class Conflicts:
    """One gRPC service of it, as a person calls it: with a short timeout."""

    def __init__(self, remote: Remote[Any]) -> None:
        self._remote = remote

    async def call(self, method: str, request: Message) -> Any:
        """Call a method by its name; a mutation's request carries a new request id."""
        return await self._remote.unary(lambda stub: getattr(stub, method), request, timeout_s=CALL_TIMEOUT_S)


def run(
    address: str | None,
    work: Callable[[Conflicts], Coroutine[Any, Any, T]],
    *,
    stub: Callable[[grpc.aio.Channel], Any] = ConflictServiceStub,
) -> T:
    """Do the work with the service of that stub at that address and return what it returns."""

    async def connected() -> T:
        channels = Channels()
        try:
            route = Route(channels, service_addresses("conflicts", address=address))
            return await work(Conflicts(Remote(route, stub)))
        finally:
            await channels.close()

    return asyncio.run(connected())

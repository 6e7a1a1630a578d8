"""How the verbs reach the resources service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from tercio.addresses import service_addresses
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.cli.connect import CALL_TIMEOUT_S, pages
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

T = TypeVar("T")


class Resources:
    """One gRPC service of it, as a person calls it: with a short timeout."""

    def __init__(self, remote: Remote[Any]) -> None:
        self._remote = remote

    async def call(self, method: str, request: Message) -> Any:
        """Call a method by its name; a mutation's request carries a new request id."""
        return await self._remote.unary(lambda stub: getattr(stub, method), request, timeout_s=CALL_TIMEOUT_S)


def run(
    address: str | None,
    work: Callable[[Resources], Coroutine[Any, Any, T]],
    *,
    stub: Callable[[grpc.aio.Channel], Any] = ResourceServiceStub,
) -> T:
    """Do the work with the service of that stub at that address and return what it returns."""

    async def connected() -> T:
        channels = Channels()
        try:
            route = Route(channels, service_addresses("resources", address=address))
            return await work(Resources(Remote(route, stub)))
        finally:
            await channels.close()

    return asyncio.run(connected())


def listed(
    address: str | None,
    method: str,
    request: Any,
    field: str,
    *,
    limit: int,
    stub: Callable[[grpc.aio.Channel], Any] = ResourceServiceStub,
) -> list[Any]:
    """Return what a method lists in that field of its responses, page by page, up to `limit`."""

    async def work(service: Resources) -> list[Any]:
        async def page(token: str, size: int) -> tuple[list[Any], str]:
            request.page_size, request.page_token = size, token
            answer = await service.call(method, request)
            return list(getattr(answer, field)), answer.next_page_token

        return await pages(page, limit=limit)

    return run(address, work, stub=stub)

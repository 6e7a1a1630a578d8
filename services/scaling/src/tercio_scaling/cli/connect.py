"""How the verbs reach the scaling service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from google.protobuf.message import Message

from tercio.addresses import service_addresses
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.cli.connect import CALL_TIMEOUT_S, pages
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

T = TypeVar("T")


class Scaling:
    """The service as a person calls it: with a short timeout."""

    def __init__(self, remote: Remote[Any]) -> None:
        self.remote = remote

    async def call(self, method: str, request: Message, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Call a method by its name; a mutation's request carries a new request id."""
        return await self.remote.unary(lambda stub: getattr(stub, method), request, timeout_s=timeout_s)

    async def listed(self, method: str, request: Any, field: str, *, limit: int) -> list[Any]:
        """Return what a method lists in that field of its responses, page by page, up to `limit`."""

        async def page(token: str, size: int) -> tuple[list[Any], str]:
            request.page_size, request.page_token = size, token
            answer = await self.call(method, request)
            return list(getattr(answer, field)), answer.next_page_token

        return await pages(page, limit=limit)


def run(address: str | None, work: Callable[[Scaling], Coroutine[Any, Any, T]]) -> T:
    """Do the work with the service at that address and return what it returns."""

    async def connected() -> T:
        channels = Channels()
        try:
            route = Route(channels, service_addresses("scaling", address=address))
            return await work(Scaling(Remote(route, ScalingServiceStub)))
        finally:
            await channels.close()

    return asyncio.run(connected())

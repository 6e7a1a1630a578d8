"""How commands reach the fleet: addresses, stubs, and the options that most commands share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tercio.addresses import service_addresses
from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceStub
from tercio.api.registry.v1.performance_service_pb2_grpc import PerformanceServiceStub
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.api.scheduler.v1.plan_service_pb2_grpc import PlanServiceStub
from tercio.api.scheduler.v1.queue_service_pb2_grpc import QueueServiceStub
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio.audit import AUDITED, AuditLog
from tercio.claims import Claims
from tercio.cli.output import Format, MessageT, View, show_list
from tercio.client import Client
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

if TYPE_CHECKING:
    from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceAsyncStub
    from tercio.api.registry.v1.performance_service_pb2_grpc import PerformanceServiceAsyncStub
    from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceAsyncStub
    from tercio.api.scheduler.v1.plan_service_pb2_grpc import PlanServiceAsyncStub
    from tercio.api.scheduler.v1.queue_service_pb2_grpc import QueueServiceAsyncStub
    from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceAsyncStub

T = TypeVar("T")

CALL_TIMEOUT_S = 10.0
"""A person waits: ten seconds outlast an election while its store is well."""

Address = Annotated[
    str | None,
    typer.Option("--address", "-a", help="host:port of the fleet; else TERCIO_ADDRESS, else localhost:7400"),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="how to print")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="at most this many")]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The services that the commands call.

    Single calls go to the services directly, for a person waits a shorter time than a program does, and wants to see
    every field; watches are the client's.
    """

    client: Client
    tasks: Remote[TaskServiceAsyncStub]
    plans: Remote[PlanServiceAsyncStub]
    queues: Remote[QueueServiceAsyncStub]
    agents: Remote[RegistryServiceAsyncStub]
    configs: Remote[ConfigServiceAsyncStub]
    performance: Remote[PerformanceServiceAsyncStub]
    claims: Claims
    audit: Mapping[str, AuditLog]


@asynccontextmanager
async def fleet(address: str | None) -> AsyncIterator[Fleet]:
    """Give the services at that address; nothing connects before the first call."""
    channels, client = Channels(), Client(address=address)
    scheduler = service_addresses("scheduler", address=address)
    registry = service_addresses("registry", address=address)
    conflicts = service_addresses("conflicts", address=address)
    try:
        yield Fleet(
            client=client,
            tasks=Remote(Route(channels, scheduler), TaskServiceStub),
            plans=Remote(Route(channels, scheduler), PlanServiceStub),
            queues=Remote(Route(channels, scheduler), QueueServiceStub),
            agents=Remote(Route(channels, registry), RegistryServiceStub),
            configs=Remote(Route(channels, registry), ConfigServiceStub),
            performance=Remote(Route(channels, registry), PerformanceServiceStub),
            claims=Claims(Remote(Route(channels, conflicts), ClaimServiceStub), timeout_s=CALL_TIMEOUT_S),
            audit={name: AuditLog(name, Route(channels, service_addresses(name, address=address))) for name in AUDITED},
        )
    finally:
        await client.close()
        await channels.close()


def run(address: str | None, work: Callable[[Fleet], Coroutine[Any, Any, T]]) -> T:
    """Do the work with the fleet and return what it returns."""

    async def connected() -> T:
        async with fleet(address) as services:
            return await work(services)

    return asyncio.run(connected())


async def pages(
    read: Callable[[str, int], Awaitable[tuple[list[T], str]]], *, limit: int, page_size: int = 1000
) -> list[T]:
    """Return what the pages hold, until there is no more or the limit is reached.

    Args:
        read: takes a page token and a page size; returns the page and the next page's token.
        limit: at most this many.
        page_size: at most this many a call.
    """
    found: list[T] = []
    token = ""
    while True:
        page, token = await read(token, min(page_size, limit - len(found)))
        found += page
        if not token or len(found) >= limit:
            return found[:limit]


def show_pages(
    address: str | None,
    read: Callable[[Fleet, str, int], Awaitable[tuple[list[MessageT], str]]],
    view: View[MessageT],
    *,
    limit: int,
    output: Format,
) -> None:
    """Print what the pages hold; see `pages`."""

    async def work(services: Fleet) -> None:
        show_list(await pages(lambda token, size: read(services, token, size), limit=limit), view, output)

    run(address, work)

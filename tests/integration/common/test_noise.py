"""Random bytes on every method of the contracts: a clean status, and nothing unhandled in the server."""

from __future__ import annotations

import importlib
import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from support.edge import FakeHost
from tercio.api.registry.v1 import registry_service_pb2_grpc
from tercio.api.scheduler.v1 import plan_service_pb2_grpc, task_service_pb2_grpc, work_service_pb2_grpc
from tercio_common.clock import SystemClock
from tercio_common.composition import Service
from tercio_common.rpc.authorisation import Rule
from tercio_common.rpc.server import start_server
from tercio_common.settings import ServerSettings

GENERATED = (registry_service_pb2_grpc, plan_service_pb2_grpc, task_service_pb2_grpc, work_service_pb2_grpc)
CLEAN = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
ROUNDS = 30


class Reading:
    """Reads what comes and has nothing to answer: what fails is the edge's to handle."""

    def __init__(self, descriptor: Any) -> None:
        for method in descriptor.methods:
            setattr(self, method.name, self._drain if method.client_streaming else self._refuse)

    async def _drain(self, requests: AsyncIterator[Any], context: Any) -> None:
        async for _ in requests:
            pass
        raise NotImplementedError

    async def _refuse(self, request: Any, context: Any) -> None:
        raise NotImplementedError


def services() -> list[tuple[Service, Any]]:
    found = []
    for module in GENERATED:
        descriptor_module = importlib.import_module(module.__name__.removesuffix("_grpc"))
        (descriptor,) = descriptor_module.DESCRIPTOR.services_by_name.values()
        register = getattr(module, f"add_{descriptor.name}Servicer_to_server")

        def add(server: grpc.aio.Server, register: Any = register, descriptor: Any = descriptor) -> None:
            register(Reading(descriptor), server)

        service = Service(
            name=descriptor.name,
            host=FakeHost(),  # type: ignore[arg-type]
            add_to_server=add,
            full_names=(descriptor.full_name,),
            rules={f"/{descriptor.full_name}/{method.name}": Rule.ANY_PRINCIPAL for method in descriptor.methods},
        )
        found.append((service, descriptor))
    return found


async def send(channel: grpc.aio.Channel, path: str, method: Any, noise: bytes) -> grpc.StatusCode:
    async def once() -> AsyncIterator[bytes]:
        yield noise

    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(channel, kind)(path)(once() if method.client_streaming else noise)
    code: grpc.StatusCode = await call.code()
    return code


async def test_random_bytes_get_a_clean_status_on_every_method(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    built = services()
    with caplog.at_level(logging.DEBUG), capture_logs() as lines:
        settings = ServerSettings(port=0, drain_ms=1000)
        server = await start_server([service for service, _ in built], settings=settings, clock=SystemClock())
        codes = set()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            for service, descriptor in built:
                for method in descriptor.methods:
                    for _ in range(ROUNDS):
                        noise = chance.randbytes(chance.randrange(1, 200))
                        codes.add(await send(channel, f"/{service.full_names[0]}/{method.name}", method, noise))
        await server.drain()
    assert codes <= CLEAN
    assert grpc.StatusCode.INVALID_ARGUMENT in codes
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []
    assert [one for one in lines if one["log_level"] == "error"] == []

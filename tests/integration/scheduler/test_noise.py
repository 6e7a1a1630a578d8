"""Random bytes and random messages on every method: a clean status, nothing unhandled, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from structlog.testing import capture_logs

from support.scheduler_service import Scheduler
from tercio.api.scheduler.v1 import plan_service_pb2, task_service_pb2, work_service_pb2
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock

SERVICES: Final = [
    service
    for module in (task_service_pb2, plan_service_pb2, work_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]
UNCLEAN: Final = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
OVERTAKEN: Final = "Internal error from Core"
"""What gRPC's client says when it was about to write as the server's refusal arrived; the refusal itself is lost."""
ROUNDS: Final = 40
_TEXTS: Final = ("", "a", "task-1", "a/b", "session-of-16-chars", "ä", "x" * 200, "?", "0")
_NUMBERS: Final = (0, 0, 1, 1, 2, 5, 100, 1000, (1 << 31) - 1)
_DEPTH: Final = 4


class Noise:
    """Makes messages whose fields are filled at random, often with what is nearly right."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def message(self, kind: type[Message], *, depth: int = 0) -> Message:
        message = kind()
        for field in kind.DESCRIPTOR.fields:
            if self._random.random() < 0.6:
                self._fill(message, field, depth)
        return message

    def raw(self) -> bytes:
        return self._random.randbytes(self._random.randrange(1, 200))

    def _fill(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        of_message = field.message_type
        if of_message is not None and of_message.GetOptions().map_entry:
            key = self._random.choice(_TEXTS)
            getattr(message, field.name)[key] = self._value(of_message.fields_by_name["value"])
        elif of_message is not None:
            if depth < _DEPTH:
                value = self.message(GetMessageClass(of_message), depth=depth + 1)
                target = getattr(message, field.name)
                (target.add() if field.is_repeated else target).CopyFrom(value)
        elif field.is_repeated:
            getattr(message, field.name).extend(self._value(field) for _ in range(self._random.randrange(3)))
        else:
            setattr(message, field.name, self._value(field))

    def _value(self, field: FieldDescriptor) -> Any:
        choice = self._random.choice
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            text = choice(_TEXTS)
            return text if field.type == FieldDescriptor.TYPE_STRING else choice((text.encode(), b"i" * 16))
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return choice((True, False))
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return choice((0, 1, 2, 3, 99))
        number = choice(_NUMBERS)
        return -number if "UINT" not in _type_name(field) and choice((True, False)) else number


def _type_name(field: FieldDescriptor) -> str:
    names = [name for name in dir(FieldDescriptor) if name.startswith("TYPE_")]
    return next(name for name in names if getattr(FieldDescriptor, name) == field.type)


async def send(channel: grpc.aio.Channel, path: str, method: Any, *requests: bytes) -> grpc.StatusCode:
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    # A watch that is taken never ends by itself.
    timeout = 0.3 if method.name in {"WatchTasks", "SubmitStream"} else 10
    start = getattr(channel, kind)(path)
    if method.client_streaming:
        call = start(timeout=timeout)
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):  # the server has refused an earlier one
            for request in requests:
                await call.write(request)
            await call.done_writing()
    else:
        call = start(requests[0], timeout=timeout)
    code: grpc.StatusCode = await call.code()
    details = await call.details()
    if details == OVERTAKEN:
        return grpc.StatusCode.CANCELLED
    assert code not in UNCLEAN, f"{method.name}: {details} for {requests!r}"
    return code


async def test_noise_gets_a_clean_status_and_leaves_nothing_behind(
    scheduler: Scheduler, clock: ManualClock, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    noise = Noise(seed)
    codes: set[grpc.StatusCode] = set()
    with caplog.at_level(logging.WARNING), capture_logs() as lines:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{scheduler.port}") as channel:
            for service in SERVICES:
                for method in service.methods:
                    path = f"/{service.full_name}/{method.name}"
                    kind = GetMessageClass(method.input_type)
                    for number in range(ROUNDS):
                        requests = [noise.message(kind).SerializeToString() for _ in range(3)]
                        codes.add(await send(channel, path, method, *([noise.raw()] if number % 4 == 0 else requests)))
    assert {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OK} <= codes
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []
    assert [one for one in lines if one["log_level"] == "error"] == []
    host = scheduler.service.host
    await eventually(lambda: not list(host.session.connected()))
    await clock.advance(1_000)
    assert not host.session.agents
    assert not host.session.progress
    assert len(host.machine.tables.tasks) <= ROUNDS * len(SERVICES) * 3
    await scheduler.submit("still-alive")
    assert await scheduler.state("still-alive") == "READY"

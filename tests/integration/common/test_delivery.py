"""Deliveries repeat until the receiver has everything, over failures, partial answers and changes of leader."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import pytest
from prometheus_client import REGISTRY

from tercio.rpc.errors import CallError
from tercio_common.journal.memory import MemoryStore
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.delivery import Delivery, Send
from tercio_common.machine.host import Host
from tercio_common.machine.outbox import AcknowledgeOutbox, Outbox, OutboxAcknowledged, OutboxRow
from tercio_common.machine.protocol import NOTHING, Decision, Moment
from tercio_common.machine.table import TableStore
from tercio_common.settings import HostSettings
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock

KIND = "letters"


class Owe(NamedTuple):
    """Command and event: owe these letters."""

    entry_ids: tuple[str, ...]


class OwingMachine:
    def __init__(self) -> None:
        self.tables = TableStore()
        self.outbox = Outbox(self.tables)

    def decide(self, command: Any, at: Moment, session: Any) -> Decision:
        if isinstance(command, Owe):
            return Decision([command])
        if isinstance(command, AcknowledgeOutbox) and (event := self.outbox.acknowledge(command)):
            return Decision([event])
        return NOTHING

    def apply(self, event: Any, at: Moment) -> None:
        if isinstance(event, OutboxAcknowledged):
            self.outbox.apply(event)
            return
        for entry_id in event.entry_ids:
            self.outbox.add(KIND, entry_id, b"dear", at)

    def next_due(self) -> int | None:
        return None

    def set_aside_due(self) -> str:
        raise AssertionError


class OwingCodec:
    def encode_event(self, event: Any) -> bytes:
        return " ".join([type(event).__name__, *event.entry_ids]).encode()

    def decode_event(self, data: bytes) -> Any:
        name, *ids = data.decode().split()
        return (Owe if name == "Owe" else OutboxAcknowledged)(tuple(ids))

    def describe_event(self, data: bytes) -> Any:
        raise AssertionError

    def encode_row(self, table: str, row: Any) -> bytes:
        raise AssertionError

    def decode_row(self, table: str, data: bytes) -> Any:
        raise AssertionError


class Receiver:
    """Takes what `answer` lets it take of each batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.answer: Callable[[list[str]], Collection[str]] = lambda ids: ids

    @asynccontextmanager
    async def connect(self, host: Host) -> AsyncIterator[Send]:
        async def send(rows: Sequence[OutboxRow]) -> Collection[str]:
            ids = [row.entry_id for row in rows]
            self.batches.append(ids)
            return self.answer(ids)

        yield send

    @property
    def seen(self) -> list[str]:
        return sorted(each for batch in self.batches for each in batch)


def refuse(reason: str) -> Callable[[list[str]], Collection[str]]:
    def answer(ids: list[str]) -> Collection[str]:
        raise CallError("no", code=grpc.StatusCode.UNAVAILABLE, reason=reason)

    return answer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@asynccontextmanager
async def running(store: MemoryStore, clock: ManualClock, receiver: Receiver, *, batch: int = 3) -> AsyncIterator[Host]:
    delivery = Delivery(KIND, receiver.connect, batch=batch, source=random.Random(1))
    host = Host(
        name="owing",
        machine=OwingMachine,
        session=lambda epoch: None,
        codec=OwingCodec(),
        journal=store.journal("owing"),
        election=store.election("owing"),
        clock=clock,
        settings=HostSettings(),
        address="127.0.0.1:1",
        effects=(delivery.run,),
    )
    host.on_commit(delivery.committed)
    task = asyncio.create_task(host.run())
    try:
        await eventually(lambda: host.leading)
        yield host
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def owe(host: Host, *ids: str) -> None:
    host.propose(Owe(ids), call=EFFECT)


def left(host: Host) -> list[str]:
    return [row.entry_id for row in host.machine.outbox.table.values()]


async def settled(host: Host) -> None:
    await eventually(lambda: not left(host))


async def while_time_passes(clock: ManualClock, holds: Callable[[], bool]) -> None:
    """Let up to two minutes pass in steps until it holds."""
    for _ in range(240):
        if holds():
            return
        await clock.advance(500)
        await asyncio.sleep(0.002)
    raise AssertionError("it never held")


async def test_what_is_owed_goes_in_batches_and_is_forgotten(
    store: MemoryStore, clock: ManualClock, receiver: Receiver
) -> None:
    async with running(store, clock, receiver) as host:
        owe(host, "a", "b", "c", "d")
        await settled(host)
    assert receiver.batches == [["a", "b", "c"], ["d"]]


async def test_a_failure_is_followed_by_growing_waits_until_the_receiver_is_back(
    store: MemoryStore, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answer = refuse("NO_LEADER")
    async with running(store, clock, receiver) as host:
        owe(host, "a")
        await eventually(lambda: len(receiver.batches) == 1)
        await clock.advance(20)
        assert len(receiver.batches) == 1
        for tries in (2, 3, 4):
            await clock.advance(400)
            await eventually(lambda tries=tries: len(receiver.batches) >= tries)  # type: ignore[misc]
        receiver.answer = lambda ids: ids
        await clock.advance(30_000)
        await settled(host)


async def test_an_entry_that_is_never_taken_does_not_hold_up_the_others(
    store: MemoryStore, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answer = lambda ids: [each for each in ids if not each.startswith("poison")]
    async with running(store, clock, receiver, batch=1) as host:
        owe(host, "poison", "b", "c")
        await eventually(lambda: receiver.batches)
        await clock.advance(1_000)
        await eventually(lambda: {"b", "c"} <= set(receiver.seen))
        assert left(host) == ["poison"]


async def test_a_batch_that_is_refused_as_a_whole_for_one_entry_goes_without_it(
    store: MemoryStore, clock: ManualClock, receiver: Receiver
) -> None:
    def answer(ids: list[str]) -> Collection[str]:
        if "poison" in ids:
            raise CallError("malformed", code=grpc.StatusCode.INVALID_ARGUMENT, reason="INVALID_ARGUMENT")
        return ids

    receiver.answer = answer
    async with running(store, clock, receiver) as host:
        owe(host, "a", "poison", "b")
        await while_time_passes(clock, lambda: left(host) == ["poison"])


async def test_a_batch_that_is_too_large_as_a_whole_goes_in_parts(
    store: MemoryStore, clock: ManualClock, receiver: Receiver
) -> None:
    def answer(ids: list[str]) -> Collection[str]:
        if len(ids) > 2:
            raise CallError("too large", code=grpc.StatusCode.INVALID_ARGUMENT, reason="REQUEST_TOO_LARGE")
        return ids

    receiver.answer = answer
    async with running(store, clock, receiver, batch=100) as host:
        owe(host, *[str(number) for number in range(20)])
        await while_time_passes(clock, lambda: left(host) == [])


async def test_the_next_leader_delivers_what_was_left(
    store: MemoryStore, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answer = refuse("")
    async with running(store, clock, receiver) as host:
        owe(host, "a")
        await eventually(lambda: receiver.batches)
    receiver.answer = lambda ids: ids
    async with running(store, clock, receiver) as host:
        await settled(host)
    assert receiver.seen == ["a", "a"]


async def test_what_is_owed_and_for_how_long_is_shown(
    store: MemoryStore, clock: ManualClock, receiver: Receiver
) -> None:
    def shown(what: str) -> float | None:
        return REGISTRY.get_sample_value(f"tercio_outbox_{what}", {"service": "owing", "kind": KIND})

    receiver.answer = refuse("UNAVAILABLE")
    async with running(store, clock, receiver) as host:
        owe(host, "a", "b")
        await while_time_passes(clock, lambda: shown("pending") == 2 and (shown("oldest_age_seconds") or 0) >= 30)
        receiver.answer = lambda ids: ids
        await while_time_passes(clock, lambda: shown("pending") == 0)
        assert shown("oldest_age_seconds") == 0

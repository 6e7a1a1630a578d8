"""Replicas of the counter machine that share one store, and the calls that tests make to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from support.counter_machine import Add, CounterCodec, CounterMachine
from tercio_common.clock import SystemClock
from tercio_common.election.renewal import LeaseSettings
from tercio_common.journal.memory import MemoryStore
from tercio_common.journal.store import Store
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Codec, StateMachine
from tercio_common.settings import HostSettings
from tercio_common.testing.eventually import eventually
from tercio_common.testing.faulty_journal import FaultyJournal

LEASE = LeaseSettings(ttl_ms=5000, renew_interval_ms=500, rpc_timeout_ms=1000, margin_ms=1000)
QUICK = HostSettings(lease=LEASE, snapshot_bytes=1 << 20)


class JumpingClock(SystemClock):
    """The machine's clock, which a test sets forward as if the process had been stopped meanwhile."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def boot_ms(self) -> int:
        return super().boot_ms() + self.ahead_ms


class CounterFleet:
    """The replicas. What they are made of can be exchanged before they are started."""

    def __init__(self, settings: HostSettings = QUICK, *, store: Store | None = None) -> None:
        self.clock = JumpingClock()
        self.store: Store = store or MemoryStore(clock=self.clock, ttl_ms=LEASE.ttl_ms)
        self.settings = settings
        self.machine: Callable[[], StateMachine] = CounterMachine
        self.codec: Codec = CounterCodec()
        self.effects: Sequence[Callable[[Host], Awaitable[None]]] = ()
        self.faulty: type[FaultyJournal] = FaultyJournal
        self.journals: list[Any] = []
        self._running: dict[Host, asyncio.Task[None]] = {}

    async def start(self, address: str = "a") -> Host:
        journal = self.faulty(self.store.journal("counters"))
        self.journals.append(journal)
        host = Host(
            name="counters",
            machine=self.machine,
            session=lambda epoch: {"epoch": epoch},
            codec=self.codec,
            journal=journal,
            election=self.store.election("counters"),
            clock=self.clock,
            settings=self.settings,
            address=address,
            effects=self.effects,
        )
        self._running[host] = asyncio.ensure_future(host.run())
        return host

    async def leader(self, address: str = "a") -> Host:
        host = await self.start(address)
        await eventually(lambda: host.leading)
        return host

    async def ended(self, host: Host) -> None:
        """Wait until the host ends by itself; raise what ended it."""
        await self._running.pop(host)

    async def stop(self, host: Host) -> None:
        task = self._running.pop(host)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def close(self) -> None:
        for host in list(self._running):
            await self.stop(host)


def render(reply: Any) -> bytes:
    return str(reply).encode()


def call(request_id: str = "", digest: bytes = b"") -> Call:
    return Call("ann", "/add", request_id=request_id, digest=digest)


async def add(host: Host, name: str = "x", *, request_id: str = "", **fields: Any) -> bytes:
    return await host.execute(Add(name, **fields), call=call(request_id), render=render)


def counters(host: Host) -> dict[str, int]:
    return {row.name: row.value for row in host.machine.counters.values()}


def contents(host: Host) -> dict[str, dict[Any, Any]]:
    """Return every row of every table, the host's own ones too."""
    tables = host.machine.tables.tables
    return {name: {table.key(row): row for row in table.values()} for name, table in tables.items()}

"""Drives the machine of the resources service as its host and its edge do, on fleet time that the test moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_resources.codec import ResourcesCodec
from tercio_resources.state.allocations import Released
from tercio_resources.state.commands import Allocate, Release, UpdatePool
from tercio_resources.state.events import (
    AllocationsGranted,
    AllocationsReleased,
    AllocationsReshaped,
    AllocationsTransferred,
)
from tercio_resources.state.grants import Granted
from tercio_resources.state.invariants import violations
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.rows import AllocationRow, Amount, PoolRow, Spec
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session

WALL = 1_700_000_000_000
TTL = 60_000
CPU = PoolRow("cpu", "cpu", "millicores", 1_000)


def spec(amounts: Mapping[str, int] | None = None, **fields: Any) -> Spec:
    """Return a spec; by default a tenth of the pool `cpu`."""
    asked = amounts or {"cpu": 100}
    return Spec(tuple(Amount(name, each) for name, each in sorted(asked.items())), **fields)


class Driver:
    """One service over several leaderships. Each step checks every invariant, and that nothing is over-granted."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules(default_pools=(CPU,))
        self.codec = ResourcesCodec()
        self.machine = ResourcesMachine(self.rules)
        self.now = 0
        self.seq = 0
        self.epoch = Epoch(1, 10)
        self.principal = "local"
        self.journal: list[tuple[Moment, list[bytes]]] = []
        self.session = Session(self.rules)
        self.released = Counter[int]()
        self.highest_token = (self.epoch, 0)
        self._begin()

    def _begin(self) -> None:
        self.session = Session(self.rules)
        self.do(ElectionWon())
        self.session.pulse(self.now)

    def moment(self) -> Moment:
        return Moment(self.seq + 1, self.now, WALL + self.now, self.epoch, self.principal, self.seq)

    def do(self, command: Any) -> Any:
        """Decide and apply one command; return its reply."""
        at = self.moment()
        self.machine.tables.begin()
        try:
            decision = self.machine.decide(command, at, self.session)
        except Refusal:
            assert not self.machine.tables.undo
            raise
        for event in decision.events:
            self.machine.apply(event, at)
            self._check(event)
        if decision.events:
            self.seq = at.seq
            self.journal.append((at, [self.codec.encode_event(event) for event in decision.events]))
        assert not list(violations(self.machine))
        return decision.reply

    def _check(self, event: Any) -> None:
        if isinstance(event, AllocationsGranted):
            for lot in event.lots:
                for part in lot.parts:
                    pool = self.machine.tables.pools[part.pool_id]
                    granted = self.machine.tables.holdings.granted[part.pool_id]
                    assert granted <= pool.capacity - (0 if lot.emergency else pool.reserve), "over capacity"
                    assert not pool.fenced, "granted by a fenced pool"
        if isinstance(event, AllocationsReshaped):
            for lot in event.lots:
                assert all(part.amount > 0 for part in lot.parts)
        if isinstance(event, AllocationsGranted | AllocationsTransferred):
            fresh = [row for row in self.rows() if (row.epoch, row.token) > self.highest_token]
            assert len(fresh) == len(event.owners if isinstance(event, AllocationsGranted) else event.numbers)
            self.highest_token = max((row.epoch, row.token) for row in fresh)
        if isinstance(event, AllocationsReleased):
            self.released.update(event.numbers)
            assert max(self.released.values(), default=0) <= 1, "released twice"

    def allocate(self, *owners: str, specs: tuple[Spec, ...] = (), **fields: Any) -> Granted:
        reply: Granted = self.do(Allocate(specs=specs or (spec(),), owners=owners, **fields))
        return reply

    def grant(self, owner: str = "a", **fields: Any) -> int:
        """Return the number of one grant, 0 when there was none."""
        return self.allocate(owner, specs=(spec(**fields),)).numbers[0]

    def release(self, *numbers: int, owners: tuple[str, ...] = ()) -> Released:
        reply: Released = self.do(Release(owners, numbers))
        return reply

    def update(self, pool_id: str = "cpu", **fields: Any) -> Any:
        return self.do(UpdatePool(pool_id=pool_id, **fields))

    def tick(self) -> None:
        """Handle every timer that is due, as the host does."""
        while (due := self.machine.next_due()) is not None and due <= self.now:
            self.do(Tick())

    def listen(self, duration: int) -> None:
        """Let fleet time pass while the leader runs."""
        end = self.now + duration
        while self.now < end:
            self.now = min(end, self.now + 1_000)
            self.session.pulse(self.now)
            self.tick()

    def sleep(self, duration: int) -> None:
        """Let fleet time pass while the leader is stopped; it then wakes up with its timers first."""
        self.now += duration
        self.tick()
        self.session.pulse(self.now)

    def take_over(self) -> None:
        """Begin another leader's term on a replay of the journal, at the same fleet time."""
        self.machine = self.replayed()
        self.epoch = Epoch(self.epoch.generation, self.epoch.revision + 1)
        self._begin()

    def replayed(self) -> ResourcesMachine:
        """Return what replaying the journal gives."""
        machine = ResourcesMachine(self.rules)
        for at, events in self.journal:
            machine.tables.begin()
            for data in events:
                machine.apply(self.codec.decode_event(data), at)
        return machine

    def reloaded(self) -> ResourcesMachine:
        """Return what a snapshot of the tables gives."""
        machine = ResourcesMachine(self.rules)
        for name, table in self.machine.tables.tables.items():
            for row in table.values():
                machine.tables.tables[name].put(self.codec.decode_row(name, self.codec.encode_row(name, row)))
        return machine

    def rows(self) -> list[AllocationRow]:
        return sorted(self.machine.tables.allocations.values())

    def granted(self, pool_id: str = "cpu") -> int:
        return self.machine.tables.holdings.granted.get(pool_id, 0)


def tables(machine: ResourcesMachine) -> dict[str, list[Any]]:
    """Return the rows of every table, in an order that can be compared."""
    return {name: sorted(table.values(), key=repr) for name, table in machine.tables.tables.items()}

"""The smallest machine that shows everything the host does: named counters that can expire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Description, ElectionWon, Moment, Tick
from tercio_common.machine.table import Table, TableStore


class Counter(NamedTuple):
    """A counter; `expires` 0 means never."""

    name: str
    value: int
    expires: int = 0
    blob: str = ""


@dataclass(frozen=True, slots=True)
class Add:
    """Add to a counter; replies with its value."""

    name: str
    amount: int = 1
    lifetime: int = 0
    blob: str = ""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a counter; refuses an unknown one."""

    name: str


@dataclass(frozen=True, slots=True)
class Poison:
    """Fails half way through being applied."""

    name: str


@dataclass(frozen=True, slots=True)
class Set:
    """The only event: a counter's new row, or its end when `value` is None."""

    name: str
    value: int | None
    expires: int = 0
    blob: str = ""


class CounterMachine:
    """Counters by name. Two cannot expire: the timer of `fragile` fails, that of `huge` makes too large a record."""

    def __init__(self) -> None:
        self.tables = TableStore()
        self.counters: Table[Counter] = Table("counters", lambda row: row.name, store=self.tables)
        self.aside: set[str] = set()

    def decide(self, command: Any, at: Moment, session: Any) -> Decision:
        del session
        match command:
            case Add(name, amount, lifetime, blob):
                row = self.counters.get(name) or Counter(name, 0)
                expires = at.now + lifetime if lifetime else row.expires
                value = row.value + amount
                return Decision((Set(name, value, expires, blob),), value, creates_work=True)
            case Remove(name):
                if name not in self.counters:
                    raise Refusal("TASK_NOT_FOUND", f"no counter {name}")
                return Decision((Set(name, None),), 0)
            case Poison(name):
                return Decision((Set(name, 1), Set("poison", -1)), 0)
            case Tick(limit):
                due = [row for row in self._timers() if row.expires <= at.now][:limit]
                if any(row.name == "fragile" for row in due):
                    raise ValueError("fragile counter")
                if any(row.name == "huge" for row in due):
                    return Decision((Set("huge", 1, 0, "b" * 600_000),), 1)
                return Decision(tuple(Set(row.name, None) for row in due), len(due))
            case ElectionWon():
                return Decision()
        raise TypeError(type(command))

    def apply(self, event: Set, at: Moment) -> None:
        del at
        if event.name == "poison":
            raise ValueError("poison")
        if event.value is None:
            self.counters.delete(event.name)
        else:
            self.counters.put(Counter(event.name, event.value, event.expires, event.blob))

    def next_due(self) -> int | None:
        return min((row.expires for row in self._timers()), default=None)

    def set_aside_due(self) -> str:
        row = min(self._timers(), key=lambda row: row.expires)
        self.aside.add(row.name)
        return row.name

    def _timers(self) -> list[Counter]:
        return [row for row in self.counters.values() if row.expires and row.name not in self.aside]


class CounterCodec:
    """JSON: events and rows of the counter machine."""

    def encode_event(self, event: Set) -> bytes:
        return json.dumps([event.name, event.value, event.expires, event.blob]).encode()

    def decode_event(self, data: bytes) -> Set:
        return Set(*json.loads(data))

    def describe_event(self, data: bytes) -> Description:
        return Description("CounterSet", (f"counters/{self.decode_event(data).name}",))

    def encode_row(self, table: str, row: Counter) -> bytes:
        assert table == "counters"
        return json.dumps(row).encode()

    def decode_row(self, table: str, data: bytes) -> Counter:
        assert table == "counters"
        return Counter(*json.loads(data))

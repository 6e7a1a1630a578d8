"""Drives the machine of the conflicts service as its host and its edge do, on fleet time that the test moves."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from typing import Any, Final

from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_conflicts.codec import ConflictsCodec
from tercio_conflicts.state.claims import Released
from tercio_conflicts.state.commands import Acquire, Item, Release, RequestRelease, Transfer
from tercio_conflicts.state.deadlock import victims
from tercio_conflicts.state.events import ClaimsGranted, ClaimsReleased, ClaimsTransferred
from tercio_conflicts.state.grants import Granted
from tercio_conflicts.state.invariants import violations
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import ClaimRow, Terms
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.things import Kind, Thing
from tercio_conflicts.state.waiting import Ticket

WALL: Final = 1_700_000_000_000
TTL: Final = 60_000
SCOPE: Final = "repository"
FILES: Final = ("a", "b", "d/a", "d/b", "d/e/a")
GLOBS: Final = ("*", "**", "d/*", "d/", "*/a", "**/a", "**/e/*", "d/{a,e/*}")
PATHS: Final = tuple("/".join(parts) for depth in (1, 2, 3) for parts in product("abde", repeat=depth))
"""Every path that the files and globs above can be about, so that overlaps can be found by looking."""


def file(name: str) -> Thing:
    return Thing(Kind.FILE, SCOPE, name)


def glob(name: str) -> Thing:
    return Thing(Kind.GLOB, SCOPE, name)


def paths_of(thing: Thing) -> frozenset[str]:
    """Return the paths that are a thing, by another way than the service's."""
    if thing.kind is Kind.FILE:
        return frozenset({thing.name})
    name = f"{thing.name}**" if thing.name.endswith("/") else thing.name
    pattern = re.escape(name).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    pattern = pattern.replace(r"\{", "(?:").replace(",", "|").replace(r"\}", ")")
    return frozenset(path for path in PATHS if re.fullmatch(pattern, path))


def collide(one: ClaimRow | Item, other: ClaimRow | Item) -> bool:
    """Tell whether two claims must not both be held."""
    apart = one.owner == other.owner or Mode.EXCLUSIVE not in (one.mode, other.mode)
    return not apart and bool(paths_of(one.thing) & paths_of(other.thing))


class Driver:
    """One service over several leaderships. Each step checks every invariant, and that tokens rise."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.codec = ConflictsCodec()
        self.machine = ConflictsMachine(self.rules)
        self.now = 0
        self.seq = 0
        self.epoch = Epoch(1, 10)
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
        return Moment(self.seq + 1, self.now, WALL + self.now, self.epoch, "local", self.seq)

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
        if isinstance(event, ClaimsGranted | ClaimsTransferred):
            fresh = [row for row in self.rows() if (row.epoch, row.token) > self.highest_token]
            assert len(fresh) == len(event.things if isinstance(event, ClaimsGranted) else event.numbers)
            self.highest_token = max((row.epoch, row.token) for row in fresh)
        if isinstance(event, ClaimsReleased):
            self.released.update(event.numbers)
            assert max(self.released.values(), default=0) <= 1, "released twice"

    def acquire(self, owner: str, *things: Thing, mode: Mode = Mode.EXCLUSIVE, **fields: Any) -> Granted:
        """Ask for claims of one owner; priority, ttl and purpose are those of `Terms`."""
        reply: Granted = self.do(self.wish(owner, *things, mode=mode, **fields))
        return reply

    def wish(self, owner: str, *things: Thing, mode: Mode = Mode.EXCLUSIVE, **fields: Any) -> Acquire:
        terms = Terms(**{name: fields.pop(name) for name in Terms._fields if name in fields})
        return Acquire(things=things, modes=(mode,), owners=(owner,), terms=terms, **fields)

    def claim(self, owner: str, thing: Thing, **fields: Any) -> int:
        """Return the number of one claim, 0 when there was none."""
        return self.acquire(owner, thing, **fields).numbers[0]

    def wait(self, command: Acquire) -> Ticket | None:
        """Let a call wait for claims; None when it was granted at once."""
        if all(self.do(command).numbers):
            return None
        return self.session.waiting.enter(command, self.now)

    def serve(self) -> list[Ticket]:
        """Grant what can be granted to who waits, in order; return whose waiting is over."""
        served = []
        for ticket in self.session.waiting.in_line(self.now):
            if all(self.do(ticket.command).numbers):
                self.session.waiting.leave(ticket)
                served.append(ticket)
        return served

    def detect(self) -> list[Ticket]:
        """Refuse the calls that end every cycle of waits; return them."""
        found = victims(self.machine.tables, self.session, self.now)
        for ticket in found:
            self.session.waiting.leave(ticket)
        return found

    def release(self, *numbers: int, owners: tuple[str, ...] = ()) -> Released:
        reply: Released = self.do(Release(owners, numbers))
        return reply

    def transfer(self, giver: str, taker: str, *numbers: int) -> list[ClaimRow]:
        reply: list[ClaimRow] = self.do(Transfer(from_owner=giver, to_owner=taker, numbers=numbers))
        return reply

    def ask(self, *numbers: int, **fields: Any) -> list[ClaimRow]:
        """Ask for the release of claims; return them as they are now."""
        reply: list[ClaimRow] = self.do(RequestRelease(numbers=numbers, asked_by="z", **fields))
        return reply

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

    def replayed(self) -> ConflictsMachine:
        """Return what replaying the journal gives."""
        machine = ConflictsMachine(self.rules)
        for at, events in self.journal:
            machine.tables.begin()
            for data in events:
                machine.apply(self.codec.decode_event(data), at)
        return machine

    def reloaded(self) -> ConflictsMachine:
        """Return what a snapshot of the tables gives."""
        machine = ConflictsMachine(self.rules)
        for name, table in self.machine.tables.tables.items():
            for row in table.values():
                machine.tables.tables[name].put(self.codec.decode_row(name, self.codec.encode_row(name, row)))
        return machine

    def rows(self) -> list[ClaimRow]:
        return sorted(self.machine.tables.claims.values(), key=lambda row: row.number)


def tables(machine: ConflictsMachine) -> dict[str, list[Any]]:
    """Return the rows of every table, in an order that can be compared."""
    return {name: sorted(table.values(), key=repr) for name, table in machine.tables.tables.items()}

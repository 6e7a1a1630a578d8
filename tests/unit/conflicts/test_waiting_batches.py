"""Batches that wait for the same things: what that costs the leader must not grow with every pair of their items."""

from __future__ import annotations

from tercio_conflicts.settings import ConflictsSettings
from tercio_conflicts.state import deadlock
from tercio_conflicts.state.commands import Acquire, Atomicity
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.things import Kind, Thing


def test_many_batches_in_one_line_are_looked_through_within_the_time_of_a_unit_test() -> None:
    rules = ConflictsSettings().rules()
    machine, session = ConflictsMachine(rules), Session(rules)
    things = tuple(Thing(Kind.FILE, "repository", f"file{number}") for number in range(50))
    for number in range(50):
        wish = Acquire(things=things, modes=(Mode.EXCLUSIVE,), owners=(f"o{number}",), atomicity=Atomicity.BATCH)
        session.waiting.enter(wish, 0)
    waits = dict(deadlock.waits(machine.tables, session, 1_000))
    assert sorted(map(len, waits.values())) == list(range(50))
    assert deadlock.victims(machine.tables, session, 1_000) == []

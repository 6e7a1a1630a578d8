"""Mutation of G6: a claim is released whenever somebody says so, whether or not it is held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.launchers.launch import launch_conflicts
from tercio_common.machine.protocol import Decision, Moment
from tercio_conflicts.state import claims
from tercio_conflicts.state.commands import Release
from tercio_conflicts.state.events import ClaimsReleased, Event
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.rows import Cause
from tercio_conflicts.state.tables import ConflictTables

_apply, _release = ConflictsMachine.apply, claims.release


def _believe(command: Release, tables: ConflictTables) -> Decision:
    if not command.numbers:
        return _release(command, tables)
    return Decision([ClaimsReleased(Cause.RELEASED, command.numbers)], claims.Released(0, ()))


def _apply_what_is_held(machine: ConflictsMachine, event: Event, at: Moment) -> None:
    if isinstance(event, ClaimsReleased):
        event = replace(event, numbers=tuple(each for each in event.numbers if each in machine.tables.claims))
    _apply(machine, event, at)


if __name__ == "__main__":
    mutated: Any = claims
    mutated.release = _believe
    mutated = ConflictsMachine
    mutated.apply = _apply_what_is_held
    launch_conflicts()

"""Mutation of G6: an allocation is released whenever somebody says so, whether or not it is held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.launchers.launch import launch_resources
from tercio_common.machine.protocol import Decision, Moment
from tercio_resources.state import allocations
from tercio_resources.state.commands import Release
from tercio_resources.state.events import AllocationsReleased, Event
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.rows import Cause
from tercio_resources.state.rules import Rules
from tercio_resources.state.tables import ResourceTables

_apply = ResourcesMachine.apply


def _believe(command: Release, _at: Moment, _tables: ResourceTables, _rules: Rules) -> Decision:
    return Decision([AllocationsReleased(Cause.RELEASED, command.numbers)], allocations.Released(0, ()))


def _apply_what_is_held(machine: ResourcesMachine, event: Event, at: Moment) -> None:
    if isinstance(event, AllocationsReleased):
        event = replace(event, numbers=tuple(each for each in event.numbers if each in machine.tables.allocations))
    _apply(machine, event, at)


if __name__ == "__main__":
    mutated: Any = allocations
    mutated.release = _believe
    mutated = ResourcesMachine
    mutated.apply = _apply_what_is_held
    launch_resources()

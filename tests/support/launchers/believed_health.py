"""Mutation of G7: a leader shows what an earlier one recorded, without having heard the agent itself."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch_registry
from tercio_common.epochs import Epoch
from tercio_registry.state import views
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.views import State

_state_of = views.state_of


def _believe(row: AgentRow, epoch: Epoch) -> State:
    return _state_of(row, Epoch(row.confirmed_generation, row.confirmed_revision))


if __name__ == "__main__":
    mutated: Any = views
    mutated.state_of = _believe
    launch_registry()

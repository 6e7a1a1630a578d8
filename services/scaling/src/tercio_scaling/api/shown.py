"""What replies show of the state right after a command."""

from __future__ import annotations

from typing import cast

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio_common.machine.term import Term
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.status import PoolStatus, status
from tercio_scaling.translate.budgets import budget_message
from tercio_scaling.translate.pools import pool_message


def statuses(term: Term) -> list[PoolStatus]:
    """Return every pool as it is, in the order of their ids."""
    machine, at = cast(ScalingMachine, term.machine), term.moment()
    rows = sorted(machine.tables.pools.values())
    return [status(row, at, machine.tables, term.session, machine.rules) for row in rows]


def shown(pool_id: str, term: Term) -> agent_pool_pb2.AgentPool:
    """Return a pool as the contract has it."""
    machine = cast(ScalingMachine, term.machine)
    row = machine.tables.pools[pool_id]
    return pool_message(status(row, term.moment(), machine.tables, term.session, machine.rules))


def shown_budget(budget_id: str, term: Term) -> agent_pool_pb2.Budget:
    """Return a budget as the contract has it."""
    tables = cast(ScalingMachine, term.machine).tables
    return budget_message(tables.budgets[budget_id], tables)

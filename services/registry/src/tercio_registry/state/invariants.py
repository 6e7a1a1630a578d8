"""What holds after every step; checked in tests after each one."""

from __future__ import annotations

from collections.abc import Iterator

from tercio_common.epochs import Epoch
from tercio_registry.state import config_invariants
from tercio_registry.state.agents import Ailment, Health
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.views import IdOrder


def violations(machine: RegistryMachine, epoch: Epoch) -> Iterator[str]:
    """Give one sentence for each thing that is wrong in the tables and in what is derived from them."""
    rows = {row.agent_id: row for row in machine.agents.values()}
    for row in rows.values():
        name = f"agent {row.agent_id!r}"
        if row.incarnation < 1:
            yield f"{name} has incarnation {row.incarnation}"
        if row.active and row.ended_now:
            yield f"{name} is active and ended at {row.ended_now}"
        if not row.active and (row.draining or row.health is not Health.HEALTHY):
            yield f"{name} is {row.membership.name} but still drains, declines or ails"
        if row.ailments != tuple(sorted(set(row.ailments))):
            yield f"{name} ails from {row.ailments}, which is not in order"
        if (row.confirmed_generation, row.confirmed_revision) > epoch:
            yield f"{name} was confirmed by a later leader than the present one"
    if list(IdOrder.after(machine.order, "")) != sorted(rows):
        yield "the order of ids is not that of the table"
    if sum(machine.census.by_state(epoch).values()) != len(rows):
        yield "the census counts other agents than the table holds"
    if machine.census.size_bytes != sum(row.size_bytes for row in rows.values()):
        yield "the size of the rows is counted wrong"
    if machine.history.size_bytes != sum(row.size_bytes for row in machine.history.table.values()):
        yield "the size of the histories is counted wrong"
    if machine.deadlines.agents() != rows.keys():
        yield "an agent has no deadline, or one that does not exist has one"
    holders = {row.reserved_under for row in rows.values() if row.reserved_under and row.active}
    if not set(machine.reservations.held()) <= holders:
        yield "a registration holds a reservation that no active agent names"
    lost = {row.reserved_under for row in rows.values() if row.ailments and Ailment.RESERVATION_LOST in row.ailments}
    if set(machine.reservations.lost()) != lost:
        yield "other reservations are lost than agents ail from"
    active = {each.agent_id: each.active for each in machine.configuring.revisions.configurations.values()}
    told = {row.agent_id: row.config_revision for row in rows.values() if row.config_revision}
    if told != {agent_id: revision for agent_id, revision in active.items() if revision}:
        yield "agents tell other revisions of their configurations than are active"
    yield from config_invariants.violations(machine.configuring, rows.keys())

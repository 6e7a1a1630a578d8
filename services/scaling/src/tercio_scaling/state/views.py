"""What effects and readers see of the state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tercio_common.epochs import Epoch
from tercio_scaling.state.rows import EXTERNAL, PoolRow, StateRow, VictimPhase
from tercio_scaling.state.tables import ScalingTables


class Target(NamedTuple):
    """What the driver of a pool is to bring about.

    Attributes:
        pool_id: which pool.
        driver: the name of its driver.
        spec: what the driver is told, as the text of a JSON object.
        agents: how many it is to keep, those included that are chosen to leave and still finish their work.
        victims: (agent id, uid) of those that are to be the ones that leave, the first first.
        seq: the record that made it so: it may be driven once that one is committed, and `ReportScaling` names it.
        epoch: who decided; a driver's writes are fenced by the present leader's.
    """

    pool_id: str
    driver: str
    spec: str
    agents: int
    victims: tuple[tuple[str, str], ...]
    seq: int
    epoch: Epoch


class Cordon(NamedTuple):
    """An agent that is to be cordoned, or uncordoned when it is not to leave after all; due once `seq` is committed."""

    pool_id: str
    agent_id: str
    leaves: bool
    seq: int


def kept(row: PoolRow, state: StateRow) -> int:
    """Return how many agents a driver is asked to keep."""
    return _staying(state) + replaced(row, state)


def replaced(row: PoolRow, state: StateRow) -> int:
    """Return how many of those that do not work are replaced: no more than the bounds leave room for."""
    if row.deleting:
        return 0
    most = max(row.pool.most, state.surge.most if state.surge is not None else 0)
    return max(0, min(state.failing, most - _staying(state)))


def _staying(state: StateRow) -> int:
    return state.decided + state.owed + sum([victim.holds for victim in state.victims])


def targets(tables: ScalingTables) -> Iterator[Target]:
    """Give what is to be driven, in no order.

    Paused pools and those of somebody else are left out, and those of which it was not seen yet what there is: agents
    that were there before the pool was are adopted, or leave as all others do.
    """
    for state in tables.states.values():
        row = tables.pools[state.pool_id]
        if row.paused or row.driver == EXTERNAL or not state.adopted:
            continue
        leaving = tuple((each.agent_id, each.uid) for each in state.victims if each.phase == VictimPhase.LEAVING)
        yield Target(row.pool_id, row.driver, row.spec, kept(row, state), leaving, state.seq, state.epoch)


def cordons(tables: ScalingTables) -> Iterator[Cordon]:
    """Give whom to cordon and uncordon, in no order."""
    for state in tables.states.values():
        if tables.pools[state.pool_id].paused:
            continue
        for victim in state.victims:
            if victim.phase in (VictimPhase.CHOSEN, VictimPhase.RETURNING):
                yield Cordon(state.pool_id, victim.agent_id, victim.phase == VictimPhase.CHOSEN, state.seq)

"""What must hold after every command. Checked after each step in tests, sampled in production."""

from __future__ import annotations

from collections.abc import Iterator

from tercio_scaling.state.rows import EXTERNAL, VictimPhase
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.tables import ScalingTables
from tercio_scaling.state.views import kept


def violations(tables: ScalingTables, rules: Rules) -> Iterator[str]:
    """Give a sentence for each thing that is wrong."""
    for row in tables.pools.values():
        if row.pool_id not in tables.states or row.pool_id not in tables.memories or row.pool_id not in tables.arrivals:
            yield f"{row.pool_id} is declared and nothing else is known of it"
            continue
        state = tables.states[row.pool_id]
        most = max(row.pool.most, state.surge.most if state.surge is not None else 0)
        if not row.deleting and state.decided < 0:
            yield f"{row.pool_id} is to have {state.decided} agents"
        if row.deleting and state.decided:
            yield f"{row.pool_id} is deleted and is to have {state.decided} agents"
        if kept(row, state) > max(most, state.decided + state.owed + sum(each.holds for each in state.victims)):
            yield f"{row.pool_id} is asked for more than {most} agents because some do not work"
        if row.driver == EXTERNAL and (state.victims or state.owed):
            yield f"{row.pool_id} has victims although somebody else chooses"
        ids = [(each.agent_id, each.uid) for each in state.victims if each.phase != VictimPhase.RETURNING]
        if len(ids) != len(set(ids)):
            yield f"{row.pool_id} has chosen somebody twice"
        if len(tables.history.of(row.pool_id)) > rules.max_events:
            yield f"{row.pool_id} has more than {rules.max_events} events"
    for table in (tables.states, tables.memories, tables.arrivals):
        for each in table.values():
            if each.pool_id not in tables.pools:
                yield f"{table.name} know the pool {each.pool_id}, which is not declared"

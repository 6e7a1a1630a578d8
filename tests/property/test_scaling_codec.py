"""Every event and row of the scaling service comes back from its bytes as it was."""

from __future__ import annotations

import enum
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercio_common.epochs import Epoch
from tercio_scaling.codec import ScalingCodec, decode_event, encode_event
from tercio_scaling.state import events, rows, tables
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.forecasting import Arrivals
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import Memory, Need
from tercio_scaling.state.triggers.protocol import Proposal

INTS = st.integers(-(1 << 62), 1 << 62)
TEXTS = st.text(max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {int: INTS, str: TEXTS, float: FLOATS, bool: st.booleans()}


def made(kind: Any, **given_: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return rows of that kind, with anything in the fields that are plain."""
    fields = dict(given_)
    for name, hint in get_type_hints(kind).items():
        if name in fields:
            continue
        is_enum = isinstance(hint, type) and issubclass(hint, enum.Enum)
        fields[name] = st.sampled_from(list(hint)) if is_enum else PLAIN[hint]
    return st.builds(kind, **fields)


def few(each: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(each, max_size=2).map(tuple)


EPOCHS = made(Epoch)
POOL_ROWS = made(
    rows.PoolRow,
    pool=made(AgentPool, capabilities=few(st.tuples(TEXTS, INTS)), triggers=few(TEXTS)),
    task_types=few(TEXTS),
    labels=few(st.tuples(TEXTS, TEXTS)),
)
STATES = made(rows.StateRow, epoch=EPOCHS, victims=few(made(rows.VictimRow)), surge=st.none() | made(rows.SurgeRow))
MEMORIES = made(rows.MemoryRow, memory=made(Memory, needs=few(made(Need))))
ARRIVALS = made(
    rows.ArrivalsRow,
    arrivals=made(Arrivals, season=few(FLOATS), first=few(INTS), pending=few(st.tuples(FLOATS, FLOATS))),
    epoch=EPOCHS,
    past=few(made(rows.Past)),
)
TOLD = made(
    rows.EventRow,
    epoch=EPOCHS,
    proposals=few(made(Proposal)),
    limits=few(made(Limit)),
    inputs=st.none() | made(Observation),
    impact=st.none() | made(rows.Impact, victims=few(TEXTS)),
    agent_ids=few(TEXTS),
)
ROWS = {
    tables.POOLS: POOL_ROWS,
    tables.STATES: STATES,
    tables.MEMORIES: MEMORIES,
    tables.ARRIVALS: ARRIVALS,
    tables.AGENTS: made(rows.AgentRow),
    tables.EVENTS: TOLD,
    tables.BUDGETS: made(rows.BudgetRow),
}
WRITTEN = {
    "pool_applied": st.builds(events.PoolApplied, POOL_ROWS),
    "pool_forgotten": made(events.PoolForgotten),
    "pool_advanced": st.builds(events.PoolAdvanced, STATES),
    "need_remembered": st.builds(events.NeedRemembered, MEMORIES),
    "arrivals_noted": made(events.ArrivalsNoted, counts=few(INTS)),
    "agents_joined": st.builds(events.AgentsJoined, few(made(rows.AgentRow))),
    "agents_left": made(events.AgentsLeft, agent_ids=few(TEXTS)),
    "events_noted": st.builds(events.EventsNoted, few(TOLD)),
    "events_forgotten": st.builds(events.EventsForgotten, few(TEXTS), few(INTS)),
    "budget_set": st.builds(events.BudgetSet, made(rows.BudgetRow)),
    "budget_deleted": made(events.BudgetDeleted),
}


@pytest.mark.parametrize("kind", WRITTEN)
@given(data=st.data())
def test_an_event_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    event = data.draw(WRITTEN[kind])
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("table", ROWS)
@given(data=st.data())
def test_a_row_comes_back_as_it_was(table: str, data: st.DataObject) -> None:
    codec, row = ScalingCodec(), data.draw(ROWS[table])
    assert codec.decode_row(table, codec.encode_row(table, row)) == row

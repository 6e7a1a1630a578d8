"""Events and rows as protobuf. A field that was ever written stays readable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final, NamedTuple, cast

from tercio_common.epochs import Epoch
from tercio_common.machine.descriptions import describe
from tercio_common.machine.protocol import Description
from tercio_scaling.records.v1 import events_pb2, rows_pb2
from tercio_scaling.shapes import Shape
from tercio_scaling.state import events, rows, tables
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.forecasting import Arrivals
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import Memory, Need
from tercio_scaling.state.triggers.protocol import Proposal


def _tuple(*values: Any) -> tuple[Any, ...]:
    return values


_LEVEL: Final = Shape(_tuple, rows_pb2.Level)
_LABEL: Final = Shape(_tuple, rows_pb2.Label)
_EPOCH: Final = Shape(Epoch, rows_pb2.Epoch)
_AGENT_POOL: Final = Shape(AgentPool, rows_pb2.AgentPool, {"capabilities": _LEVEL})
_POOL: Final = Shape(rows.PoolRow, rows_pb2.PoolRow, {"pool": _AGENT_POOL, "labels": _LABEL})
_VICTIM: Final = Shape(rows.VictimRow, rows_pb2.VictimRow, kinds={"phase": rows.VictimPhase})
_SURGE: Final = Shape(rows.SurgeRow, rows_pb2.SurgeRow)
_STATE: Final = Shape(rows.StateRow, rows_pb2.StateRow, {"epoch": _EPOCH, "victims": _VICTIM, "surge": _SURGE})
_NEED: Final = Shape(Need, rows_pb2.Need)
_MEMORY: Final = Shape(rows.MemoryRow, rows_pb2.MemoryRow, {"memory": Shape(Memory, rows_pb2.Memory, {"needs": _NEED})})
_KNOWN: Final = Shape(Arrivals, rows_pb2.Arrivals, {"pending": Shape(_tuple, rows_pb2.Guess)})
_ARRIVALS: Final = Shape(
    rows.ArrivalsRow,
    rows_pb2.ArrivalsRow,
    {"arrivals": _KNOWN, "epoch": _EPOCH, "past": Shape(rows.Past, rows_pb2.Past)},
)
_AGENT: Final = Shape(rows.AgentRow, rows_pb2.AgentRow)
_BUDGET: Final = Shape(rows.BudgetRow, rows_pb2.BudgetRow)
_EVENT: Final = Shape(
    rows.EventRow,
    rows_pb2.EventRow,
    {
        "epoch": _EPOCH,
        "proposals": Shape(Proposal, rows_pb2.Proposal),
        "limits": Shape(Limit, rows_pb2.Limit),
        "inputs": Shape(Observation, rows_pb2.Observation),
        "impact": Shape(rows.Impact, rows_pb2.Impact),
    },
    {"kind": rows.EventKind, "outcome": rows.Outcome},
)

_ROWS: Final[dict[str, tuple[Shape, type[Any]]]] = {
    tables.POOLS: (_POOL, rows_pb2.PoolRow),
    tables.STATES: (_STATE, rows_pb2.StateRow),
    tables.MEMORIES: (_MEMORY, rows_pb2.MemoryRow),
    tables.ARRIVALS: (_ARRIVALS, rows_pb2.ArrivalsRow),
    tables.AGENTS: (_AGENT, rows_pb2.AgentRow),
    tables.EVENTS: (_EVENT, rows_pb2.EventRow),
    tables.BUDGETS: (_BUDGET, rows_pb2.BudgetRow),
}


class _Kind(NamedTuple):
    """How one kind of event is written: as the shape of its only field, or of all of them."""

    type: type[Any]
    shape: Shape
    is_row: bool = False


_KINDS: Final[dict[str, _Kind]] = {
    "pool_applied": _Kind(events.PoolApplied, _POOL, True),
    "pool_forgotten": _Kind(events.PoolForgotten, Shape(events.PoolForgotten, events_pb2.PoolForgotten)),
    "pool_advanced": _Kind(events.PoolAdvanced, _STATE, True),
    "need_remembered": _Kind(events.NeedRemembered, _MEMORY, True),
    "arrivals_noted": _Kind(events.ArrivalsNoted, Shape(events.ArrivalsNoted, events_pb2.ArrivalsNoted)),
    "agents_joined": _Kind(events.AgentsJoined, Shape(events.AgentsJoined, events_pb2.AgentsJoined, {"rows": _AGENT})),
    "agents_left": _Kind(events.AgentsLeft, Shape(events.AgentsLeft, events_pb2.AgentsLeft)),
    "events_noted": _Kind(events.EventsNoted, Shape(events.EventsNoted, events_pb2.EventsNoted, {"rows": _EVENT})),
    "events_forgotten": _Kind(events.EventsForgotten, Shape(events.EventsForgotten, events_pb2.EventsForgotten)),
    "budget_set": _Kind(events.BudgetSet, _BUDGET, True),
    "budget_deleted": _Kind(events.BudgetDeleted, Shape(events.BudgetDeleted, events_pb2.BudgetDeleted)),
}
_NAMES: Final = {kind.type: name for name, kind in _KINDS.items()}


def encode_event(event: Any) -> bytes:
    """Encode one event."""
    name = _NAMES[type(event)]
    kind = _KINDS[name]
    values = event.row if kind.is_row else [getattr(event, field.name) for field in fields(event)]
    return events_pb2.Event(**{name: kind.shape.record(values)}).SerializeToString(deterministic=True)


def decode_event(data: bytes) -> events.Event:
    """Decode one event; raises ValueError for bytes that no version wrote."""
    event = events_pb2.Event.FromString(data)
    name = event.WhichOneof("kind")
    if name is None:
        raise ValueError("an event of a kind that this version does not know; run a newer version")
    kind, found = _KINDS[name], _KINDS[name].shape.row(getattr(event, name))
    decoded: events.Event = kind.type(found) if kind.is_row else found
    return decoded


class ScalingCodec:
    """The `Codec` of the scaling service."""

    def encode_event(self, event: Any) -> bytes:
        return encode_event(event)

    def decode_event(self, data: bytes) -> events.Event:
        return decode_event(data)

    def describe_event(self, data: bytes) -> Description:
        event = events_pb2.Event.FromString(data)
        name = event.WhichOneof("kind") or ""
        described, fact = describe(event, name), cast(Any, getattr(event, name, None))
        return described._replace(resources=_named(name, fact))

    def encode_row(self, table: str, row: Any) -> bytes:
        encoded: bytes = _ROWS[table][0].record(row).SerializeToString(deterministic=True)
        return encoded

    def decode_row(self, table: str, data: bytes) -> Any:
        if table not in _ROWS:
            raise ValueError(f"the scaling service has no table {table!r}")
        shape, message = _ROWS[table]
        return shape.row(message.FromString(data))


def _named(kind: str, fact: Any) -> Iterable[str]:
    """Return what an event names."""
    match kind:
        case "budget_set" | "budget_deleted":
            return (f"budgets/{fact.budget_id}",)
        case "agents_joined" | "agents_left":
            named = [row.agent_id for row in fact.rows] if kind == "agents_joined" else fact.agent_ids
            return (f"agents/{agent_id}" for agent_id in named)
        case "events_noted":
            return (f"pools/{pool_id}" for pool_id in sorted({row.pool_id for row in fact.rows}))
        case "events_forgotten":
            return (f"pools/{pool_id}" for pool_id in sorted(set(fact.pool_ids)))
        case "":
            return ()
        case _:
            return (f"pools/{fact.pool_id}",)

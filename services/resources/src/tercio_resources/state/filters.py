"""What a list or a watch selects, by an expression in the language of AIP-160."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tercio_common.filtering.fields import Field, Kind
from tercio_resources.state.pools import PoolState, PoolView
from tercio_resources.state.rows import AllocationRow, Cause, PastAllocationRow
from tercio_resources.state.views import AllocationState

POOL_FIELDS: Final[Mapping[str, Field[PoolView]]] = {
    "id": Field(Kind.TEXT, lambda pool: pool.row.pool_id),
    "dimension": Field(Kind.TEXT, lambda pool: pool.row.dimension),
    "unit": Field(Kind.TEXT, lambda pool: pool.row.unit),
    "state": Field(Kind.NAME, lambda pool: pool.state, names={state.name: state for state in PoolState}),
    "fenced": Field(Kind.BOOL, lambda pool: pool.row.fenced),
    "capacity": Field(Kind.NUMBER, lambda pool: pool.row.capacity),
    "reserve": Field(Kind.NUMBER, lambda pool: pool.row.reserve),
    "granted": Field(Kind.NUMBER, lambda pool: pool.granted),
    "labels": Field(Kind.TEXT, lambda pool: dict(pool.row.labels), keyed=True),
}

_HELD: Final[Mapping[str, Field[Any]]] = {
    "id": Field(Kind.NUMBER, lambda row: row.number),
    "owner": Field(Kind.TEXT, lambda row: row.owner),
    "tenant": Field(Kind.TEXT, lambda row: row.lot.tenant),
    "priority": Field(Kind.NUMBER, lambda row: row.lot.priority),
    "emergency": Field(Kind.BOOL, lambda row: row.lot.emergency),
    "pools": Field(Kind.NUMBER, lambda row: {part.pool_id: part.amount for part in row.lot.parts}, keyed=True),
    "amounts": Field(Kind.NUMBER, lambda row: {part.dimension: part.amount for part in row.lot.parts}, keyed=True),
    "grant_time": Field(Kind.TIME, lambda row: row.granted_wall),
}
"""What an allocation has while it is held and afterwards."""

ALLOCATION_FIELDS: Final[Mapping[str, Field[AllocationRow]]] = {
    **_HELD,
    "state": Field(
        Kind.NAME,
        lambda row: AllocationState.REVOKING if row.revoke_at else AllocationState.ACTIVE,
        names={state.name: state for state in AllocationState},
    ),
}

PAST_FIELDS: Final[Mapping[str, Field[PastAllocationRow]]] = {
    **_HELD,
    "agent_id": Field(Kind.TEXT, lambda row: row.agent_id),
    "task_type": Field(Kind.TEXT, lambda row: row.lot.task_type),
    "cause": Field(Kind.NAME, lambda row: row.cause, names={cause.name: cause for cause in Cause}),
    "end_time": Field(Kind.TIME, lambda row: row.ended_wall),
}

"""What a list or a watch selects, by an expression in the language of AIP-160."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tercio_common.filtering.fields import Field, Kind
from tercio_scaling.state.rows import EventKind, EventRow, Outcome
from tercio_scaling.state.status import PoolStatus

POOL_FIELDS: Final[Mapping[str, Field[PoolStatus]]] = {
    "id": Field(Kind.TEXT, lambda pool: pool.row.pool_id),
    "driver": Field(Kind.TEXT, lambda pool: pool.row.driver),
    "desired": Field(Kind.NUMBER, lambda pool: pool.state.decided),
    "min": Field(Kind.NUMBER, lambda pool: pool.row.pool.least),
    "max": Field(Kind.NUMBER, lambda pool: pool.row.pool.most),
    "paused": Field(Kind.BOOL, lambda pool: pool.row.paused),
    "budget": Field(Kind.TEXT, lambda pool: pool.row.budget_id),
    "labels": Field(Kind.TEXT, lambda pool: dict(pool.row.labels), keyed=True),
}

EVENT_FIELDS: Final[Mapping[str, Field[EventRow]]] = {
    "pool": Field(Kind.TEXT, lambda row: row.pool_id),
    "kind": Field(Kind.NAME, lambda row: row.kind, names={kind.name: kind for kind in EventKind}),
    "rule": Field(Kind.TEXT, lambda row: row.rule),
    "outcome": Field(
        Kind.NAME, lambda row: row.outcome, names={each.name: each for each in Outcome if each != Outcome.NONE}
    ),
    "before": Field(Kind.NUMBER, lambda row: row.before),
    "after": Field(Kind.NUMBER, lambda row: row.after),
    "principal": Field(Kind.TEXT, lambda row: row.principal),
    "scaling_id": Field(Kind.TEXT, lambda row: row.scaling_id),
    "create_time": Field(Kind.TIME, lambda row: row.wall),
}

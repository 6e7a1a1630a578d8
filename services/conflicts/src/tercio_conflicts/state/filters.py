"""What a list or a watch selects, by an expression in the language of AIP-160."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tercio_common.filtering.fields import Field
from tercio_common.filtering.fields import Kind as FieldKind
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.things import Kind
from tercio_conflicts.state.views import ClaimState, state_of

CLAIM_FIELDS: Final[Mapping[str, Field[ClaimRow]]] = {
    "id": Field(FieldKind.NUMBER, lambda row: row.number),
    "owner": Field(FieldKind.TEXT, lambda row: row.owner),
    "kind": Field(FieldKind.NAME, lambda row: row.thing.kind, names={kind.name: kind for kind in Kind}),
    "scope": Field(FieldKind.TEXT, lambda row: row.thing.scope),
    "name": Field(FieldKind.TEXT, lambda row: row.thing.name),
    "mode": Field(FieldKind.NAME, lambda row: row.mode, names={mode.name: mode for mode in Mode}),
    "priority": Field(FieldKind.NUMBER, lambda row: row.terms.priority),
    "purpose": Field(FieldKind.TEXT, lambda row: row.terms.purpose),
    "state": Field(FieldKind.NAME, state_of, names={state.name: state for state in ClaimState}),
    "asked_by": Field(FieldKind.TEXT, lambda row: row.yields.asked_by if row.yields else ""),
    "grant_time": Field(FieldKind.TIME, lambda row: row.granted_wall),
}

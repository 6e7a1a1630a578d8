"""Events and rows of claims as protobuf."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from google.protobuf.message import Message

from tercio_common.epochs import Epoch
from tercio_common.leasing.tombstones import TombstoneRow
from tercio_conflicts.records.v1 import claims_pb2
from tercio_conflicts.records.v1 import events_pb2 as records
from tercio_conflicts.state import events
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Cause, ClaimRow, Terms, Yield
from tercio_conflicts.state.tables import CLAIMS, TOMBSTONES
from tercio_conflicts.state.things import Kind, Thing

_MODES: Final = {int(mode): mode for mode in Mode}
_KINDS: Final = {int(kind): kind for kind in Kind}


def _terms_record(terms: Terms) -> claims_pb2.Terms:
    return claims_pb2.Terms(priority=terms.priority, ttl_ms=terms.ttl, purpose=terms.purpose)


def _terms(record: claims_pb2.Terms) -> Terms:
    return Terms(record.priority, record.ttl_ms, record.purpose)


def _granted_record(event: events.ClaimsGranted) -> records.Event:
    scopes = {scope: index for index, scope in enumerate(dict.fromkeys(thing.scope for thing in event.things))}
    kinds = {thing.kind for thing in event.things}
    return records.Event(
        claims_granted=claims_pb2.ClaimsGranted(
            terms=_terms_record(event.terms),
            scopes=scopes,
            scope_indexes=[scopes[thing.scope] for thing in event.things] if len(scopes) > 1 else (),
            kinds=[thing.kind for thing in event.things] if len(kinds) > 1 else kinds,
            names=[thing.name for thing in event.things],
            modes=event.modes,
            owners=event.owners,
        )
    )


def _granted(record: claims_pb2.ClaimsGranted) -> events.ClaimsGranted:
    count = len(record.names)
    scopes = (
        [record.scopes[index] for index in record.scope_indexes] if record.scope_indexes else [record.scopes[0]] * count
    )
    kinds = [_KINDS[kind] for kind in record.kinds]
    every_kind = kinds if len(kinds) == count else kinds * count
    things = tuple(map(Thing, every_kind, scopes, record.names))
    return events.ClaimsGranted(
        _terms(record.terms), things, tuple(_MODES[mode] for mode in record.modes), tuple(record.owners)
    )


def _released_record(event: events.ClaimsReleased) -> records.Event:
    return records.Event(
        claims_released=claims_pb2.ClaimsReleased(
            cause=cast("claims_pb2.ClaimsReleased.Cause.ValueType", int(event.cause)),
            claim_numbers=event.numbers,
            barred_owners=event.barred,
        )
    )


def _transferred_record(event: events.ClaimsTransferred) -> records.Event:
    return records.Event(
        claims_transferred=claims_pb2.ClaimsTransferred(claim_numbers=event.numbers, to_owner=event.to_owner)
    )


def _requested_record(event: events.ReleasesRequested) -> records.Event:
    return records.Event(
        releases_requested=claims_pb2.ReleasesRequested(
            claim_numbers=event.numbers, yield_at_ms=event.yield_at, asked_by=event.asked_by, because=event.because
        )
    )


def _pruned_record(event: events.ClaimTombstonesPruned) -> records.Event:
    return records.Event(claim_tombstones_pruned=claims_pb2.ClaimTombstonesPruned(owners=event.owners))


def _claim_record(row: ClaimRow) -> claims_pb2.ClaimRow:
    yields = row.yields
    return claims_pb2.ClaimRow(
        number=row.number,
        owner=row.owner,
        thing=claims_pb2.Thing(kind=row.thing.kind, scope=row.thing.scope, name=row.thing.name),
        mode=row.mode,
        terms=_terms_record(row.terms),
        token=row.token,
        epoch_generation=row.epoch.generation,
        epoch_revision=row.epoch.revision,
        granted_now_ms=row.granted_now,
        granted_wall_ms=row.granted_wall,
        yield_at_ms=yields.at if yields else 0,
        asked_by=yields.asked_by if yields else "",
        because=yields.because if yields else "",
    )


def _claim(data: bytes) -> ClaimRow:
    record = claims_pb2.ClaimRow.FromString(data)
    thing = record.thing
    return ClaimRow(
        number=record.number,
        owner=record.owner,
        thing=Thing(_KINDS[thing.kind], thing.scope, thing.name),
        mode=_MODES[record.mode],
        terms=_terms(record.terms),
        token=record.token,
        epoch=Epoch(record.epoch_generation, record.epoch_revision),
        granted_now=record.granted_now_ms,
        granted_wall=record.granted_wall_ms,
        yields=Yield(record.yield_at_ms, record.asked_by, record.because) if record.yield_at_ms else None,
    )


def _tombstone(data: bytes) -> TombstoneRow:
    record = claims_pb2.ClaimTombstoneRow.FromString(data)
    return TombstoneRow(record.owner, record.released_now_ms)


def _by_number(fact: Any) -> Iterable[str]:
    return (f"claims/{number}" for number in fact.claim_numbers)


ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    events.ClaimsGranted: _granted_record,
    events.ClaimsReleased: _released_record,
    events.ClaimsTransferred: _transferred_record,
    events.ReleasesRequested: _requested_record,
    events.ClaimTombstonesPruned: _pruned_record,
}
DECODERS: dict[str, Callable[[Any], events.ClaimEvent]] = {
    "claims_granted": _granted,
    "claims_released": lambda r: events.ClaimsReleased(Cause(r.cause), tuple(r.claim_numbers), tuple(r.barred_owners)),
    "claims_transferred": lambda r: events.ClaimsTransferred(tuple(r.claim_numbers), r.to_owner),
    "releases_requested": lambda r: events.ReleasesRequested(
        tuple(r.claim_numbers), tuple(r.yield_at_ms), r.asked_by, r.because
    ),
    "claim_tombstones_pruned": lambda r: events.ClaimTombstonesPruned(tuple(r.owners)),
}
NAMES: dict[str, Callable[[Any], Iterable[str]]] = {
    "claims_granted": lambda fact: (f"things/{name}" for name in fact.names),
    "claims_released": _by_number,
    "claims_transferred": _by_number,
    "releases_requested": _by_number,
}
"""What an event names, for an auditor."""
ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {
    CLAIMS: _claim_record,
    TOMBSTONES: lambda row: claims_pb2.ClaimTombstoneRow(owner=row.owner, released_now_ms=row.released_now),
}
ROW_DECODERS: dict[str, Callable[[bytes], Any]] = {CLAIMS: _claim, TOMBSTONES: _tombstone}

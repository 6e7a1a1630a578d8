"""Things: contract to domain and back."""

from __future__ import annotations

from typing import Final, cast

from tercio.api.conflicts.v1 import claim_pb2
from tercio_common.rpc.violations import Violations
from tercio_conflicts.state.globs import BadPatternError, parse
from tercio_conflicts.state.things import Kind, Thing

_MAX_SCOPE: Final = 512
_MAX_NAME: Final = 1_024
_NO_SEGMENTS: Final = frozenset({"", ".", ".."})
_KINDS: Final = {int(kind): kind for kind in Kind}


def thing_of(field: str, message: claim_pb2.Thing, found: Violations) -> Thing:
    """Return a thing, and note what is wrong with it."""
    kind, scope, name = message.kind, message.scope, message.name
    if kind not in _KINDS or len(scope) > _MAX_SCOPE or not 1 <= len(name) <= _MAX_NAME:
        found.check_one_of(f"{field}.kind", kind, _KINDS)
        found.check_length(f"{field}.scope", scope, most=_MAX_SCOPE)
        found.check_length(f"{field}.name", name, least=1, most=_MAX_NAME)
        return Thing(Kind.OTHER, scope, name)
    thing = Thing(_KINDS[kind], scope, name)
    if thing.kind is Kind.FILE and ("\0" in name or not _NO_SEGMENTS.isdisjoint(name.split("/"))):
        found.add(
            f"{field}.name",
            "must be a relative path without empty segments, `.` and `..`; a folder is the GLOB `folder/`",
        )
    elif thing.kind is Kind.GLOB:
        _check_glob(f"{field}.name", name, found)
    return thing


def thing_message(thing: Thing) -> claim_pb2.Thing:
    """Return a thing as the contract has it."""
    kind = cast("claim_pb2.Thing.Kind.ValueType", int(thing.kind))
    return claim_pb2.Thing(kind=kind, scope=thing.scope, name=thing.name)


def _check_glob(field: str, pattern: str, found: Violations) -> None:
    try:
        parse(pattern)
    except BadPatternError as error:
        found.add(field, f"is no pattern: {error}")

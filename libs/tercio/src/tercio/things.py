"""What can be claimed, as callers name it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, cast

from tercio.api.conflicts.v1.claim_pb2 import Claim, Thing
from tercio.api.scheduler.v1.claim_spec_pb2 import ClaimSpec
from tercio.errors import SettingsError
from tercio.repository import is_pattern

ClaimMode: TypeAlias = Literal["shared", "intent", "exclusive"]

KINDS: Final = {name.removeprefix("KIND_").lower(): kind for name, kind in Thing.Kind.items() if kind}
"""What sorts of things there are."""
MODES: Final[dict[ClaimMode, Claim.Mode.ValueType]] = {
    "shared": Claim.MODE_SHARED,
    "intent": Claim.MODE_INTENT,
    "exclusive": Claim.MODE_EXCLUSIVE,
}
"""What others may do with what is held: read, plan to edit, or nothing."""


class TaskClaim(NamedTuple):
    """What each attempt of a task claims; see `thing`."""

    name: str
    mode: ClaimMode = "exclusive"
    scope: str = ""
    kind: str = ""


def thing(name: str, *, scope: str = "", kind: str = "") -> Thing:
    """Name something to claim.

    Args:
        name: for files the path from the top of the scope.
        scope: where the name means something; of files the repository, see `tercio.repository`.
        kind: one of `KINDS`; by default a file, or a glob when the name has characters that patterns give a meaning to.

    Raises:
        SettingsError: there is no such kind.
    """
    kind = kind or ("glob" if is_pattern(name) else "file")
    if kind not in KINDS:
        raise SettingsError(f"there is no kind {kind!r}; choose from {', '.join(KINDS)}")
    return Thing(kind=KINDS[kind], scope=scope, name=name)


def text_of(named: Thing) -> str:
    """Name something for people: files by their path alone."""
    kind = Thing.Kind.Name(named.kind).removeprefix("KIND_").lower()
    return named.name if kind in {"file", "glob"} else f"{kind} {named.name}"


def claim_spec(claim: str | TaskClaim) -> ClaimSpec:
    """Return a task's claim as the scheduler takes it; a name alone is exclusive, of a file or glob.

    Raises:
        SettingsError: there is no such kind or mode.
    """
    name, mode, scope, kind = TaskClaim(claim) if isinstance(claim, str) else claim
    if mode not in MODES:
        raise SettingsError(f"there is no mode {mode!r}; choose from {', '.join(MODES)}")
    # The scheduler numbers kinds and modes as the conflicts service does.
    return ClaimSpec(
        kind=cast("ClaimSpec.Kind.ValueType", thing(name, scope=scope, kind=kind).kind),
        scope=scope,
        name=name,
        mode=cast("ClaimSpec.Mode.ValueType", MODES[mode]),
    )

"""Server-side errors.

TercioError
├── Refusal                   an answer for the caller, with a reason; the state is unchanged
├── StoreError                the journal or the election
│   ├── FencedError           the guard was false: another leader exists, and nothing was written
│   ├── NotProposedError      certainly not written; may be sent again as it is
│   ├── OutcomeUnknownError   perhaps written; only the identical bytes may be sent again
│   ├── LeadershipLostError   the lease ended or the leader's key is gone
│   ├── StoreUnavailableError no answer to a read
│   └── JournalGapError       segments before the wanted one were truncated: load the snapshot
├── StoreRestoredError        the store's revisions began again, and its generation was not raised
└── SettingsError             settings contradict each other
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class TercioError(Exception):
    """Root of the tree."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that is wrong."""

    field: str
    description: str


@dataclass(eq=False)
class Refusal(TercioError):
    """A request that is answered with an error. Raising it from `decide` leaves no trace.

    Attributes:
        reason: name in the catalogue of reasons, without prefix.
        message: what, why, and what to do.
        metadata: small facts for programs; keys in lowerCamelCase.
        retry_after_ms: when a retry may succeed; 0 says nothing.
        violations: fields that are wrong.
        details: further protobuf messages for the status, small ones; only an edge adds them.
    """

    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_ms: int = 0
    violations: tuple[FieldViolation, ...] = ()
    details: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """Reason and message."""
        return f"{self.reason}: {self.message}"


class StoreError(TercioError):
    """The journal or the election did not do what was asked."""


class FencedError(StoreError):
    """The guard was false: another leader exists, and nothing was written."""


class NotProposedError(StoreError):
    """Certainly not written; the same call may be made again."""


class OutcomeUnknownError(StoreError):
    """Perhaps written; only the identical bytes may be sent again, to the identical key."""


class LeadershipLostError(StoreError):
    """The lease ended or the leader's key is gone."""


class StoreUnavailableError(StoreError):
    """The store gave no answer; nothing was to be written."""


class JournalGapError(StoreError):
    """Segments before the wanted one were truncated: load the snapshot instead."""


class StoreRestoredError(TercioError):
    """The store's revisions began again, and its generation was not raised: nobody may lead with it."""


class SettingsError(TercioError):
    """Settings contradict each other; the message names them and the rule."""

"""What happened. By whom, when and in which epoch stands in the record's header and enters `apply` as the moment."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_common.machine.outbox import OutboxAcknowledged
from tercio_conflicts.state.dispute_events import DisputeEvent
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Cause, Terms
from tercio_conflicts.state.things import Thing


@dataclass(frozen=True, slots=True)
class ClaimsGranted:
    """Claims were granted, in columns: a single mode or owner is that of every thing."""

    terms: Terms
    things: tuple[Thing, ...]
    modes: tuple[Mode, ...]
    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimsReleased:
    """Claims were released, and owners barred."""

    cause: Cause
    numbers: tuple[int, ...]
    barred: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimsTransferred:
    """Claims got another owner."""

    numbers: tuple[int, ...]
    to_owner: str


@dataclass(frozen=True, slots=True)
class ReleasesRequested:
    """The holders of claims were asked to release them, each by a fleet time in ms."""

    numbers: tuple[int, ...]
    yield_at: tuple[int, ...]
    asked_by: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class ClaimTombstonesPruned:
    """Owners are no longer barred."""

    owners: tuple[str, ...]


ClaimEvent = ClaimsGranted | ClaimsReleased | ClaimsTransferred | ReleasesRequested | ClaimTombstonesPruned
Event = ClaimEvent | DisputeEvent | OutboxAcknowledged

"""The settings of the conflicts service: section `conflicts`."""

from __future__ import annotations

from pydantic import Field

from tercio_common.settings import ProcessSettings, Section
from tercio_conflicts.dispute_settings import DisputeSettings
from tercio_conflicts.state.rows import MOST_ITEMS
from tercio_conflicts.state.rules import Rules


class ConflictsSettings(Section):
    """Bounds and leases of claims."""

    grace_ms: int = Field(default=5_000, ge=0, le=600_000)
    """From the end of a lease, or from when a claim must yield, to its release, in ms, up to 10 min: a holder that
    stops at that moment has stopped by then."""
    ageing_ms: int = Field(default=10_000, ge=100, le=3_600_000)
    """Waiting for this long raises the priority of a call, or of a request to release, by one, in ms, 100 ms to 1 h:
    the lowest of ten priorities goes before fresh calls of the highest after a minute and a half."""
    max_waiting: int = Field(default=1_000, ge=1, le=10_000)
    """Calls that may wait at once, 1 to 10,000: each is looked at whenever something is given back, some 20 µs."""
    owner_limit: int = Field(default=MOST_ITEMS, ge=1, le=MOST_ITEMS)
    """Claims that one owner may hold, 1 to 1,000: as many as one call may hand over. Who needs more claims a glob."""
    detect_ms: int = Field(default=1_000, ge=50, le=60_000)
    """How often calls that wait for each other in a cycle are looked for, in ms, 50 ms to 1 min: a look at 1,000 of
    them takes some 10 ms."""

    disputes: DisputeSettings = DisputeSettings()
    """How conflicts are found, and how they end."""

    def rules(self) -> Rules:
        """Return what the state needs of them."""
        return Rules(
            grace=self.grace_ms,
            ageing=self.ageing_ms,
            max_waiting=self.max_waiting,
            owner_limit=self.owner_limit,
        )


class ConflictsProcessSettings(ProcessSettings):
    """A process that runs the conflicts service alone."""

    conflicts: ConflictsSettings = ConflictsSettings()
    """The service itself."""

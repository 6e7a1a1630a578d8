"""The scheduler's settings: section `scheduler`.

Defaults of a task (priority, timeout, retries) are no settings: the contract states them, and a journal must mean the
same whoever replays it.
"""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, model_validator

from tercio_common.settings import ProcessSettings, Section
from tercio_scheduler.state.limits import Limits

_GRACE_MS: Final = 5_000
"""An agent's time to end an attempt."""


class SchedulerSettings(Section):
    """Leases, priorities and retention."""

    attempt_lease_ms: int = Field(default=15_000, ge=100, le=600_000)
    """How long an agent keeps its attempts without a word, in ms of fleet time, 100 ms to 10 min. Agents renew three
    times as often; 15 s outlast a change of the scheduler's leader, and a dead agent's work moves on after that."""
    granted_lease_ms: int = Field(default=45_000, ge=100, le=600_000)
    """The same for attempts that hold resources, in ms of fleet time, 100 ms to 10 min: their agents end them a little
    before that, so it must outlast a change of leader in both services."""
    grant_renewal_ms: int = Field(default=5_000, ge=50, le=60_000)
    """How often the leader renews all grants with the resources service, in ms, 50 ms to 1 min. When that last
    succeeded two intervals ago, agents are not renewed either."""
    owner_ttl_ms: int = Field(default=60_000, ge=1_000, le=86_400_000)
    """How long grants outlive their last renewal, in ms of the resources service's fleet time, 1 s to a day."""
    work_report_ms: int = Field(default=5_000, ge=100, le=30_000)
    """How often the conflicts service is told who works on what, in ms, 100 ms to 30 s: it looks for conflicts
    every 5 s, and forgets after a minute."""
    ageing_step_ms: int = Field(default=30_000, ge=10, le=86_400_000)
    """Waiting that raises a ready task's priority by one, in ms of fleet time, 10 ms to a day: at 30 s a task of the
    lowest priority comes before new ones of the highest after 4.5 min, so nothing waits for ever."""
    patience_ms: int = Field(default=10_000, ge=0, le=86_400_000)
    """For how long smaller needs may pass a task whose resources were refused, in ms of fleet time, up to a day. After
    that nothing that it needs is asked for by who comes later, so that what is given back adds up; 10 s as in the
    resources service, for short tasks fill the gaps until then."""
    retention_ms: int = Field(default=3_600_000, ge=1_000, le=30 * 86_400_000)
    """How long finished tasks are kept, in ms of fleet time, 1 s to 30 days. For as long a second submission of the
    same task is harmless, and its result can be read."""
    retention_count: int = Field(default=200_000, ge=1, le=10_000_000)
    """How many finished tasks are kept, 1 to 10 million, whatever their age: each takes about 1 kB of memory."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        if self.retention_ms < self.attempt_lease_ms:
            raise ValueError(
                f"retention_ms ({self.retention_ms}) must be at least attempt_lease_ms ({self.attempt_lease_ms}), "
                "or a task could be forgotten before the agent that ran it has heard that its result is kept"
            )
        longest = self.granted_lease_ms + 2 * self.grant_renewal_ms + _GRACE_MS
        if longest > self.owner_ttl_ms:
            raise ValueError(
                f"granted_lease_ms + 2 × grant_renewal_ms + {_GRACE_MS} = {longest} must be at most owner_ttl_ms "
                f"({self.owner_ttl_ms}), or an attempt could run on with resources that somebody else holds"
            )
        return self

    def limits(self) -> Limits:
        """Return what the state needs of them."""
        return Limits(
            attempt_lease_ms=self.attempt_lease_ms,
            granted_lease_ms=self.granted_lease_ms,
            ageing_step_ms=self.ageing_step_ms,
            patience_ms=self.patience_ms,
            retention_ms=self.retention_ms,
            retention_count=self.retention_count,
        )


class SchedulerProcessSettings(ProcessSettings):
    """A process that runs the scheduler alone."""

    scheduler: SchedulerSettings = SchedulerSettings()
    """The scheduler itself."""

"""What can be asked of the scaling service.

Effects send three of them: `ObservePools` with what was seen, `ReportScaling` with what came of driving a pool, and
`ReportVictims` with what came of cordoning. Before `ObservePools` they give the same sightings to `Session.keep`, from
which reads and dry runs are answered. What is to be done they find in `views.targets` (drive each pool to that) and
`views.cordons` (cordon or uncordon these), both of committed state only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tercio_scaling.state.rows import BudgetRow, PoolRow
from tercio_scaling.state.sightings import PoolSeen


@dataclass(frozen=True, slots=True)
class ApplyPool:
    """Create a pool, or replace what is declared of it; the row's revision, times and `deleting` are ignored.

    With a `revision` other than 0, only in place of that one.
    """

    row: PoolRow
    revision: int = 0


@dataclass(frozen=True, slots=True)
class DeletePool:
    """Have the agents of a pool leave, and then forget it; or forget it at once, and leave them."""

    pool_id: str
    revision: int = 0
    keep_agents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePool:
    """Decide the number of agents by hand: `agents`, or `change` more. For `hold` ms triggers change nothing."""

    pool_id: str
    reason: str
    agents: int | None = None
    change: int = 0
    hold: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SurgePool:
    """Raise bounds of a pool for `duration` ms: 0 leaves `most`, allows any `up_step`, and lifts the cost limit."""

    pool_id: str
    reason: str
    duration: int
    most: int = 0
    up_step: int = 0
    cost_limit: int = 0


@dataclass(frozen=True, slots=True)
class EndSurge:
    """End a surge before its time."""

    pool_id: str


class Wish(NamedTuple):
    """What is asked for one pool; None asks for what its triggers want."""

    pool_id: str
    agents: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinateScaling:
    """Scale several pools at once, within what they share."""

    wishes: tuple[Wish, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SetBudget:
    """Create or replace a budget."""

    row: BudgetRow


@dataclass(frozen=True, slots=True)
class DeleteBudget:
    """Forget a budget that no pool names."""

    budget_id: str


@dataclass(frozen=True, slots=True)
class ObservePools:
    """Look at pools, and decide what follows.

    Sent by the observing effect whenever something changed, and at least once an interval; pools that are not known any
    more are passed over. What decides nothing writes nothing.
    """

    pools: tuple[PoolSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportScaling:
    """Tell what came of driving a pool. Sent by the reconciling effect after each write or attempt of one.

    A conflict of versions is no failure: look again and try again without reporting it.

    Attributes:
        pool_id: which.
        seq: `Target.seq` of the target that was driven.
        failure: why the driver did not do it, for people and the same for the same cause, for instance
            `forbidden: deployments is forbidden`; empty when it did it. Repeating a report writes nothing.
    """

    pool_id: str
    seq: int
    failure: str = ""


class VictimOutcome(IntEnum):
    """What came of cordoning."""

    CORDONED = 1
    """The registry keeps new work from it."""
    ABSENT = 2
    """The registry knows no such agent: there is nothing to cordon."""
    RETURNED = 3
    """It was uncordoned, or is not there any more."""


class VictimReport(NamedTuple):
    """Of one agent."""

    pool_id: str
    agent_id: str
    outcome: VictimOutcome


@dataclass(frozen=True, slots=True)
class ReportVictims:
    """Tell what came of cordoning and uncordoning those whom `views.cordons` names. Repeating it writes nothing.

    That a victim is idle, or gone, is seen by `ObservePools`.
    """

    reports: tuple[VictimReport, ...]

"""What happened. By whom, when and in which epoch stands in the record's header and enters `apply` as the moment."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_scaling.state.rows import AgentRow, BudgetRow, EventRow, MemoryRow, PoolRow, StateRow


@dataclass(frozen=True, slots=True)
class PoolApplied:
    """A pool was created, or what is declared of it changed."""

    row: PoolRow


@dataclass(frozen=True, slots=True)
class PoolForgotten:
    """A pool is no more, nor anything of it."""

    pool_id: str


@dataclass(frozen=True, slots=True)
class PoolAdvanced:
    """Where a pool is changed: its number, its victims, or what its driver does."""

    row: StateRow


@dataclass(frozen=True, slots=True)
class NeedRemembered:
    """What a pool remembers of its needs changed."""

    row: MemoryRow


@dataclass(frozen=True, slots=True)
class ArrivalsNoted:
    """How many tasks came in each of some intervals, the last of which has the number `until`.

    `ahead` is how many intervals later was foreseen for; `total` is the leader's count up to then.
    """

    pool_id: str
    counts: tuple[int, ...]
    until: int
    ahead: int
    total: int


@dataclass(frozen=True, slots=True)
class AgentsJoined:
    """Agents took work as ones of a pool for the first time."""

    rows: tuple[AgentRow, ...]


@dataclass(frozen=True, slots=True)
class AgentsLeft:
    """Agents are not there any more."""

    pool_id: str
    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventsNoted:
    """Something is told of pools, or more is told of it than before."""

    rows: tuple[EventRow, ...]


@dataclass(frozen=True, slots=True)
class EventsForgotten:
    """Something is not told any longer; of several pools in the order in which it was written."""

    pool_ids: tuple[str, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BudgetSet:
    """A budget was created or changed."""

    row: BudgetRow


@dataclass(frozen=True, slots=True)
class BudgetDeleted:
    """A budget is no more."""

    budget_id: str


Event = (
    PoolApplied
    | PoolForgotten
    | PoolAdvanced
    | NeedRemembered
    | ArrivalsNoted
    | AgentsJoined
    | AgentsLeft
    | EventsNoted
    | EventsForgotten
    | BudgetSet
    | BudgetDeleted
)

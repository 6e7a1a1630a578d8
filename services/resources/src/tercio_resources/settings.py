"""The settings of the resources service: section `resources`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tercio_common.settings import ProcessSettings, Section
from tercio_common.strategies import choosing, sharing
from tercio_common.strategies.catalogue import Catalogue, installed
from tercio_common.strategies.protocol import Choosing, Sharing
from tercio_resources.state.commands import Kind
from tercio_resources.state.pools import UNITS
from tercio_resources.state.rows import PoolRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.worktree_rows import DIMENSION, MOST_WORKTREES, WorktreePoolRow

_MOST = 10**15
_Amount = Annotated[int, Field(ge=0, le=_MOST)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]


class PoolSettings(Section):
    """One pool that the first start makes; amounts in the dimension's unit."""

    dimension: _Id
    """What it holds, for instance `cpu`."""
    capacity: _Amount
    """How much there is, 0 to 10^15."""
    reserve: _Amount = 0
    """How much of it only an emergency may take; at most the capacity."""
    unit: str = Field(default="", max_length=128)
    """Of a dimension that has none of its own."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        if self.reserve > self.capacity:
            raise ValueError(f"reserve ({self.reserve}) must not be over capacity ({self.capacity})")
        known = UNITS.get(self.dimension, "")
        if known and self.unit not in {"", known}:
            raise ValueError(f"{self.dimension} counts in {known}, not in {self.unit}")
        if not known and not self.unit:
            raise ValueError(f"unit must say what {self.dimension} counts in")
        return self


class WorktreeSettings(Section):
    """One pool of git worktrees that the first start makes."""

    repository: str = Field(min_length=1, max_length=4096)
    """A path in a git repository on the machine of the service; all its worktrees are one repository."""
    folder: str = Field(pattern="^/", max_length=4096)
    """The directory that the worktrees are made in, absolute; it is created if it is not there."""
    ref: str = Field(default="HEAD", pattern="^[^-]", max_length=256)
    """What is checked out, detached: anything that names a commit."""
    ahead: int = Field(default=20, ge=1, le=MOST_WORKTREES)
    """How many worktrees there are, made ahead of time, 1 to 1,000: the pool's capacity."""


_POOLS = {
    "cpu": PoolSettings(dimension="cpu", capacity=100_000),
    "memory": PoolSettings(dimension="memory", capacity=64 * 1_024),
    "storage": PoolSettings(dimension="storage", capacity=1_000 * 1_024),
    "git_worktrees": PoolSettings(dimension="git_worktrees", capacity=20),
    "network": PoolSettings(dimension="network", capacity=1_000),
}
_OWNER_LIMITS = {"cpu": 8_000, "memory": 8_192, "storage": 10_240}

_ESTIMATE = {"cpu": 1_000, "memory": 512}


@cache
def _catalogues() -> tuple[Catalogue[Choosing], Catalogue[Sharing]]:
    """Return what is installed."""
    return installed("choosing", choosing.BUILT_IN), installed("sharing", sharing.BUILT_IN)


class ResourcesSettings(Section):
    """Default pools, bounds and leases."""

    pools: dict[_Id, PoolSettings] = _POOLS
    """Pools by id that the very first start makes, and no later one: 100 cores, 64 GB, 1,000 GB, 20 worktrees and
    1,000 Mbps. Afterwards they are changed by calls."""
    owner_limits: dict[_Id, _Amount] = _OWNER_LIMITS
    """The most of each dimension that one owner may hold, in its unit: 8 cores, 8 GB and 10 GB. Not a pool: it keeps
    one runaway agent from taking everything."""
    grace_ms: int = Field(default=5_000, ge=0, le=600_000)
    """From the end of a lease to the release, and from a request to give back to the revocation, in ms, up to 10 min:
    a holder that stops at its lease's end has stopped by then."""
    history_ms: int = Field(default=3_600_000, ge=1_000, le=86_400_000)
    """How long an allocation that ended is listed, in ms, 1 s to 1 day, among the last 10,000: an hour, as finished
    tasks are."""
    ageing_ms: int = Field(default=10_000, ge=100, le=3_600_000)
    """Waiting for this long raises a call's priority by one, in ms, 100 ms to 1 h: the lowest of ten priorities is
    served before fresh calls of the highest after a minute and a half."""
    patience_ms: int = Field(default=10_000, ge=0, le=3_600_000)
    """Who has waited for this long is passed by nobody, in ms, up to 1 h: before that, smaller requests use what would
    lie idle."""
    max_waiting: int = Field(default=1_000, ge=1, le=10_000)
    """Calls that may wait at once, 1 to 10,000: each is looked at whenever something is given back, some 10 µs."""
    idle_ms: int = Field(default=60_000, ge=1_000, le=86_400_000)
    """Whose usage was next to nothing for this long may be asked to release, and whose peak was watched for this long
    may be shrunk, in ms, 1 s to 1 day: six reports of an agent that reports every 10 s."""
    default_estimate: dict[_Id, _Amount] = _ESTIMATE
    """What a task is expected to use of each dimension while no task of its type has ended, in the dimension's unit:
    one core and 512 MB, what a small tool takes."""
    headroom_per_mille: int = Field(default=50, ge=0, le=10_000)
    """What a shrink leaves a holder beyond the most that it used, in thousandths of that, up to ten times as much: a
    twentieth, because a grant can grow again."""
    relief: tuple[Literal["reclaim", "shrink", "compact"], ...] = ("reclaim", "shrink")
    """What is tried before an allocation is refused, at most once a second: `reclaim`, `shrink` and `compact`, as in an
    optimisation. Compacting moves grants to other pools, which not every holder notices; so it is to be asked for."""
    reservation_lead_ms: int = Field(default=300_000, ge=0, le=86_400_000)
    """From so long before a reservation begins, what it will need is granted to nobody else, in ms, up to 1 day: five
    minutes, in which most holders end by themselves, so that few have to be asked."""
    reservation_claim_ms: int = Field(default=60_000, ge=1_000, le=86_400_000)
    """A reservation that is not claimed within this time after its start lapses, in ms, 1 s to 1 day, unless it says
    something else itself: a minute is more than a take-over takes, and what lies idle for it is little."""
    efficiency_target_per_mille: int = Field(default=850, ge=0, le=1_000)
    """Below this part of what is granted, in thousandths, a dimension counts as wasted: 85 % leaves room for the fifth
    that predictions add."""
    sample_ms: int = Field(default=60_000, ge=1_000, le=86_400_000)
    """How often it is noted how much of each pool is granted, in ms, 1 s to 1 day: forecasts look at the last 240, so
    at four hours."""
    worktrees: dict[_Id, WorktreeSettings] = Field(default_factory=dict)
    """Pools of git worktrees by id that the very first start makes; they take the place of pools of the same id. None
    by default: then git_worktrees are only counted. The leader runs git on its own machine, so replicas belong on the
    one that has the repositories."""
    git_timeout_ms: int = Field(default=300_000, ge=1_000, le=3_600_000)
    """A git command that takes longer is ended and tried again, in ms, 1 s to 1 h: a checkout of a large repository
    takes minutes."""
    emergency_principals: tuple[str, ...] = ("local", "replica")
    """Who may open the reserve of the pools and have lower priorities revoked."""

    operator_principals: tuple[str, ...] = ("local", "replica")
    """Who may change pools, quotas, budgets, prices and strategies, and have taken back what is not used. By default
    whoever reaches the service over loopback, as everywhere else."""
    choosing: str = Field(default="best_fit", max_length=128)
    """The strategy by which a pool is chosen until another one is set: `adaptive`, `best_fit`, `first_fit`,
    `historical`, `load_balanced`, `priority`, `round_robin`, `worst_fit`, or an installed one. Best fit leaves room for
    large requests."""
    sharing: str = Field(default="priority", max_length=128)
    """The strategy by which it is decided who is served first until another one is set: `arrival`, `dominant_share`,
    `priority`, or an installed one."""

    @model_validator(mode="after")
    def _check_strategies(self) -> Self:
        for name, known in ((self.choosing, _catalogues()[0].names), (self.sharing, _catalogues()[1].names)):
            if name not in known:
                raise ValueError(f"there is no strategy {name!r}; there are {', '.join(known)}")
        return self

    def rules(self) -> Rules:
        """Return what the state needs of them."""
        return Rules(
            grace=self.grace_ms,
            history=self.history_ms,
            ageing=self.ageing_ms,
            patience=self.patience_ms,
            max_waiting=self.max_waiting,
            owner_limits=self.owner_limits,
            idle=self.idle_ms,
            headroom=self.headroom_per_mille,
            relief=tuple(Kind[name.upper()] for name in self.relief),
            reservation_lead=self.reservation_lead_ms,
            reservation_claim=self.reservation_claim_ms,
            default_estimate=self.default_estimate,
            efficiency_target=self.efficiency_target_per_mille,
            emergency_principals=frozenset(self.emergency_principals),
            operators=frozenset(self.operator_principals),
            choosing=_catalogues()[0],
            sharing=_catalogues()[1],
            default_choosing=self.choosing,
            default_sharing=self.sharing,
            default_pools=tuple(sorted(self._pool_rows())),
            worktree_pools=tuple(
                WorktreePoolRow(name, pool.repository, os.path.normpath(pool.folder), pool.ref)
                for name, pool in sorted(self.worktrees.items())
            ),
        )

    def _pool_rows(self) -> Iterator[PoolRow]:
        for name, pool in self.pools.items():
            if name not in self.worktrees:
                unit = UNITS.get(pool.dimension, pool.unit)
                yield PoolRow(name, pool.dimension, unit, pool.capacity, pool.reserve)
        for name, kept in self.worktrees.items():
            yield PoolRow(name, DIMENSION, UNITS[DIMENSION], kept.ahead)


class ResourcesProcessSettings(ProcessSettings):
    """A process that runs the resources service alone."""

    resources: ResourcesSettings = ResourcesSettings()
    """The service itself."""

"""What can be asked of the resources service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tercio_resources.state.rows import Amount, PoolRow, QuotaRow, Spec, StrategyRow


@dataclass(frozen=True, slots=True)
class CreatePool:
    """Add a pool."""

    row: PoolRow


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePool:
    """Change a pool; None leaves a field as it is."""

    pool_id: str
    capacity: int | None = None
    reserve: int | None = None
    fenced: bool | None = None
    labels: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class DeletePool:
    """Remove a pool of which nothing is granted."""

    pool_id: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    """Replace a tenant's quota; `units` are those that the caller named, by dimension."""

    row: QuotaRow
    units: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteQuota:
    """Remove a tenant's quota."""

    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocate:
    """Grant one item to each owner; without `indexes` all ask for the first spec.

    Who `waits` has what others borrowed revoked; who does not is refused. Nothing is revoked unless it `makes_room`.
    """

    specs: tuple[Spec, ...]
    owners: tuple[str, ...]
    indexes: tuple[int, ...] = ()
    atomic: bool = False
    emergency: bool = False
    waits: bool = False
    makes_room: bool = True


@dataclass(frozen=True, slots=True)
class Release:
    """Release what owners hold, and bar them; release allocations by their numbers, and bar nobody.

    `agents` names of each owner the agent that used it, an empty one where nobody did; none at all is nobody.
    """

    owners: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    agents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Hand allocations of one owner to another; without numbers all of them."""

    from_owner: str
    to_owner: str
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Change how much an owner holds of dimensions of an allocation."""

    number: int
    owner: str
    amounts: tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class SetStrategy:
    """Use another strategy from now on."""

    row: StrategyRow


class UsageReport(NamedTuple):
    """What a holder uses of an allocation; with an owner, of whatever that holds. In events the number alone counts."""

    number: int
    used: tuple[Amount, ...]
    task_type: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ReportUsage:
    """Record what holders use."""

    reports: tuple[UsageReport, ...]


@dataclass(frozen=True, slots=True)
class SampleUse:
    """Note how much is granted of each pool."""


class Kind(IntEnum):
    """What can be done about what is not used; the numbers are those of the contract."""

    RECLAIM = 1
    SHRINK = 2
    COMPACT = 3


@dataclass(frozen=True, slots=True)
class Optimize:
    """Take back what is not used."""

    kinds: tuple[Kind, ...] = (Kind.RECLAIM, Kind.SHRINK)

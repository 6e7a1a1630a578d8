"""What the tables hold. Named tuples, because a batch makes hundreds of them."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_common.epochs import Epoch

MOST_ITEMS = 1_000
"""Items of one command. Their numbers fit into `NUMBERS_A_RECORD`."""
NUMBERS_A_RECORD = 1_024
"""A record's items are numbered from its sequence number times this: they rise without a counter of their own."""


class Amount(NamedTuple):
    """How much of one dimension is asked for; an empty unit is the dimension's."""

    dimension: str
    amount: int
    unit: str = ""


class Spec(NamedTuple):
    """What is asked for. `ttl` is in ms."""

    amounts: tuple[Amount, ...]
    tenant: str = ""
    priority: int = 0
    ttl: int = 60_000
    pool_labels: tuple[tuple[str, str], ...] = ()
    task_type: str = ""


class Part(NamedTuple):
    """One amount and the pool that it comes from."""

    pool_id: str
    dimension: str
    amount: int


class Lot(NamedTuple):
    """What was granted, shared by all items of a record that are alike. `ttl` is in ms, `rate` in micros an hour."""

    tenant: str
    priority: int
    ttl: int
    parts: tuple[Part, ...]
    emergency: bool = False
    task_type: str = ""
    rate: int = 0


class PoolRow(NamedTuple):
    """One pool; amounts in `unit`."""

    pool_id: str
    dimension: str
    unit: str
    capacity: int
    reserve: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    fenced: bool = False
    created_wall: int = 0


class QuotaRow(NamedTuple):
    """The quota of one tenant, by dimension."""

    tenant: str
    limits: tuple[tuple[str, int], ...]
    borrowing: bool = False


class AllocationRow(NamedTuple):
    """What an owner holds.

    Attributes:
        number: its id.
        token: number of the present holder's fencing token.
        epoch: of that token.
        granted_now: fleet time in ms of the grant or the last transfer, from which the first lease counts.
        granted_wall: wall time in ms of the grant.
        revoke_at: fleet time in ms at which it is revoked; 0 when it is not.
        charged_now: fleet time in ms up to which it was charged.
        charged: what its owner was charged for it until then, in parts as in `CostRow`.
        principal: who asked for it, or handed it over last; empty in old rows.
    """

    number: int
    owner: str
    lot: Lot
    token: int
    epoch: Epoch
    granted_now: int
    granted_wall: int
    revoke_at: int = 0
    charged_now: int = 0
    charged: int = 0
    principal: str = ""


class Used(NamedTuple):
    """What is used of one dimension of an allocation: at the last report, and the most at any."""

    dimension: str
    granted: int
    last: int
    peak: int


class UsageRow(NamedTuple):
    """What is used of an allocation.

    Attributes:
        number: of the allocation.
        reports: how many there were.
        first_now: fleet time in ms of the first one.
        last_now: fleet time in ms of the last one.
        last_wall: wall time in ms of the last one.
        busy_now: fleet time in ms at which more than next to nothing was used last; at first that of the first report.
    """

    number: int
    task_type: str
    labels: tuple[tuple[str, str], ...]
    used: tuple[Used, ...]
    reports: int
    first_now: int
    last_now: int
    last_wall: int
    busy_now: int


class PastTask(NamedTuple):
    """What a task used at most, by dimension."""

    labels: tuple[tuple[str, str], ...]
    peaks: tuple[tuple[str, int], ...]


class HistoryRow(NamedTuple):
    """Past tasks of one type, the oldest first.

    Attributes:
        error: how far predictions were off lately, in thousandths of what was used.
        compared: how many of them were compared.
        ended_now: fleet time in ms at which the last task ended.
    """

    task_type: str
    tasks: tuple[PastTask, ...]
    error: int
    compared: int
    ended_now: int


class Sample(NamedTuple):
    """How much was granted of a pool at that fleet time in ms."""

    now: int
    granted: int


class SamplesRow(NamedTuple):
    """How much was granted of a pool, the oldest first."""

    pool_id: str
    samples: tuple[Sample, ...]


class StrategyRow(NamedTuple):
    """The strategy that was set for a subject."""

    subject: int
    name: str


class PoolRecordRow(NamedTuple):
    """What became of what was granted of a pool.

    Attributes:
        turn: the number of the last allocation from it.
        ended: how many allocations were released or lost.
        failed: how many of them were lost.
        failing: which part was lost lately, in thousandths.
    """

    pool_id: str
    turn: int = 0
    ended: int = 0
    failed: int = 0
    failing: int = 0


class Cause(IntEnum):
    """Why allocations were released; the numbers are those of the records."""

    RELEASED = 1
    EXPIRED = 2
    REVOKED = 3


class PastAllocationRow(NamedTuple):
    """What an owner held.

    Attributes:
        number: its id.
        owner: the last one.
        agent_id: the agent that used it, if that is known.
        granted_wall: wall time in ms of the grant.
        ended_wall: wall time in ms of the end.
        ended_now: fleet time in ms of the end.
        charged: what the last owner was charged for it, in parts as in `CostRow`.
    """

    number: int
    owner: str
    lot: Lot
    agent_id: str
    cause: Cause
    granted_wall: int
    ended_wall: int
    ended_now: int
    charged: int = 0


class Bound(NamedTuple):
    """What limits a grant: how much of a dimension is left, and by what: `pool`, `quota` or `owner`.

    `most` is how much there could be at best, whatever is granted now.
    """

    available: int
    kind: str
    most: int = 0


class Gap(NamedTuple):
    """What is missing in one dimension, and in which pool it might be found."""

    dimension: str
    required: int
    bound: Bound
    pool_id: str = ""


class Shortage(NamedTuple):
    """Why an item is not granted.

    Attributes:
        reason: in the catalogue of reasons.
        gaps: one a dimension that is short.
        revoking: allocations that are being revoked for it.
    """

    reason: str
    gaps: tuple[Gap, ...] = ()
    revoking: int = 0

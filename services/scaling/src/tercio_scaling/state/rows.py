"""What the tables hold."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.forecasting import Arrivals
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import Memory
from tercio_scaling.state.triggers.protocol import Proposal

EXTERNAL = "external"
"""The driver of pools whose agents somebody else brings and takes: nothing is driven, and nobody chosen to leave."""


class PoolRow(NamedTuple):
    """A pool as declared. Times in ms.

    Attributes:
        pool_id: the key.
        pool: what is decided by; its `startup` is a guess, until it was measured.
        driver: how agents come and go: `local`, `deployment`, `pods`, `external`, or one that was added.
        spec: what the driver is told, as the text of a JSON object.
        task_types: the handlers of its agents; empty means all.
        target: to how many it goes when this is changed; -1 for none.
        startup_timeout: an agent that takes longer to start counts as lost.
        drain_limit: how long an agent that leaves may finish its work.
        budget_id: which budget it is under; empty for none.
        priority: of several pools under one budget the highest is served first.
        paused: nothing is decided, and nothing driven.
        labels: for people, sorted.
        revision: the record by which it was declared.
        deleting: its agents leave, and then it is forgotten.
    """

    pool_id: str
    pool: AgentPool
    driver: str
    spec: str = "{}"
    task_types: tuple[str, ...] = ()
    target: int = -1
    startup_timeout: int = 60_000
    drain_limit: int = 300_000
    budget_id: str = ""
    priority: int = 0
    paused: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    revision: int = 0
    created_wall: int = 0
    updated_wall: int = 0
    deleting: bool = False


class VictimPhase(IntEnum):
    """How far a victim is; the first four numbers are those of the contract."""

    CHOSEN = 1
    CORDONED = 2
    DRAINING = 3
    LEAVING = 4
    """The driver is told to let it go."""
    RETURNING = 5
    """It is to stay after all, and to be uncordoned."""


class VictimRow(NamedTuple):
    """An agent that was chosen to leave: when, in fleet and wall time in ms, and how far it is.

    `uid` is what tells it from a later one of the same name.
    """

    agent_id: str
    phase: VictimPhase
    chosen_now: int
    chosen_wall: int
    uid: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether it still has to finish, so that the driver is to keep it."""
        return self.phase < VictimPhase.LEAVING


class SurgeRow(NamedTuple):
    """Bounds that are raised for a while: until `until_now` in fleet time, which is `until_wall` in wall time."""

    most: int
    up_step: int
    cost_limit: int
    reason: str
    principal: str
    until_now: int
    until_wall: int


class StateRow(NamedTuple):
    """Where a pool is. Times in ms.

    Attributes:
        pool_id: the key.
        decided: how many agents there are to be.
        owed: agents too many for whom no victims are chosen yet, because nothing fresh is seen of them.
        failing: agents that are there and do not work: as many more are asked for.
        epoch: of the last decision.
        seq: the record of the last change of what is to be driven.
        victims: agents that leave.
        surge: raised bounds; None when there are none.
        startup: how long an agent takes from being asked for to taking work, measured; 0 while unknown.
        hold_until: fleet time until which a manual change holds.
        pending: number of the event that is being carried out; 0 when none is.
        failure: why the driver does not do what it is asked; empty when it does.
        refused: by which limits a decision was refused since the number changed last, so that it is written once.
        last_event: number of the last event.
        adopted: what its driver has was seen since it was declared where that is; before, nothing is driven.
    """

    pool_id: str
    decided: int = 0
    owed: int = 0
    failing: int = 0
    epoch: Epoch = NO_EPOCH
    seq: int = 0
    victims: tuple[VictimRow, ...] = ()
    surge: SurgeRow | None = None
    startup: int = 0
    hold_until: int = 0
    pending: int = 0
    failure: str = ""
    refused: str = ""
    last_event: int = 0
    adopted: bool = False


class MemoryRow(NamedTuple):
    """What a pool remembers so that it does not flap."""

    pool_id: str
    memory: Memory


class Past(NamedTuple):
    """An interval of the past: what came, and what the forecast and the plain guess had said; -1 for nothing."""

    actual: int
    expected: float
    plain: float


class ArrivalsRow(NamedTuple):
    """What is known of the arrivals of a pool.

    Attributes:
        pool_id: the key.
        arrivals: for the forecast.
        until: number of the last interval that was noted, counted from 1970.
        total: `Demand.arrived` up to then, of the leader of `epoch`.
        epoch: whose count that is.
        past: the last intervals, the oldest first.
    """

    pool_id: str
    arrivals: Arrivals
    until: int
    total: int = 0
    epoch: Epoch = NO_EPOCH
    past: tuple[Past, ...] = ()


class AgentRow(NamedTuple):
    """An agent that has taken work as one of a pool, since that wall time in ms."""

    pool_id: str
    agent_id: str
    ready_wall: int


class BudgetRow(NamedTuple):
    """What several pools may have together: agents, and cost an hour in millionths; 0 is no limit."""

    budget_id: str
    most: int = 0
    cost_limit: int = 0


class EventKind(IntEnum):
    """What an event is; the numbers are those of the contract."""

    SCALED_UP = 1
    SCALED_DOWN = 2
    REFUSED = 3
    APPLIED = 4
    DELETING = 5
    SURGE_BEGAN = 6
    SURGE_ENDED = 7
    DRIVER_FAILED = 8
    DRIVER_RECOVERED = 9
    WRONG_AGENT_LEFT = 10
    DRAIN_LIMIT_REACHED = 11
    AGENT_RETURNED = 12
    AGENT_LOST = 13
    UNCHANGED = 14
    """Only of a dry run."""


class Outcome(IntEnum):
    """How a change of the number ended; the numbers are those of the contract."""

    NONE = 0
    PENDING = 1
    DONE = 2
    SUPERSEDED = 3


class Impact(NamedTuple):
    """What a change makes of a pool: slots, cost an hour in millionths, how long it takes in ms (0 downwards)."""

    slots_before: int = 0
    slots_after: int = 0
    cost_before: int = 0
    cost_after: int = 0
    expected: int = 0
    victims: tuple[str, ...] = ()


class EventRow(NamedTuple):
    """Something that was decided about a pool, or happened to it. Times in ms.

    Attributes:
        pool_id: of which pool.
        number: counts those of the pool, from 1.
        inputs: what was seen; None when nothing was needed.
        impact: None when the number does not change.
        driven_wall: when the driver was told; 0 while it was not.
        ended_wall: when the agents were there, or gone; 0 while they are not.
    """

    pool_id: str
    number: int
    kind: EventKind
    now: int
    wall: int
    before: int
    after: int
    wanted: int
    rule: str
    reason: str
    epoch: Epoch
    proposals: tuple[Proposal, ...] = ()
    limits: tuple[Limit, ...] = ()
    inputs: Observation | None = None
    impact: Impact | None = None
    agent_ids: tuple[str, ...] = ()
    principal: str = ""
    scaling_id: str = ""
    outcome: Outcome = Outcome.NONE
    driven_wall: int = 0
    ended_wall: int = 0

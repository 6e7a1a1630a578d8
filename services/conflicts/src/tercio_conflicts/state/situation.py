"""What detectors and strategies see: who holds, waits, works and has decided what, at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tercio_conflicts.state.contradictions.comparison import Contradiction
from tercio_conflicts.state.dispute_rows import DecisionRow, PrecedentRow
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.things import Thing


class Work(NamedTuple):
    """What an agent works on, or what is assigned to it, as the scheduler or the agent itself last told.

    Attributes:
        agent_id: empty for a task that waits for an agent.
        role: as `architect`; one that is `unique` has one agent.
        running: False while it waits.
        deadline: wall time in ms; 0 for none.
        remaining: ms that it still takes, as estimated; 0 when nobody knows.
        value: to the business; 0 when nobody said.
        waits_for: tasks that must end before it goes on.
        files: paths that it reads and writes without a claim.
        amounts: of each dimension of compute, what it uses.
        owner: under which it holds claims, if that is not the agent's id.
    """

    task_id: str
    agent_id: str = ""
    role: str = ""
    unique_role: bool = False
    running: bool = True
    priority: int = 0
    deadline: int = 0
    remaining: int = 0
    value: int = 0
    waits_for: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    worktree: str = ""
    amounts: tuple[tuple[str, int], ...] = ()
    owner: str = ""


class Wait(NamedTuple):
    """A call that waits for a claim.

    Attributes:
        holders: numbers of the claims in its way.
        since: fleet time in ms.
    """

    owner: str
    thing: Thing
    priority: int
    since: int
    holders: tuple[int, ...]


class Disagreement(NamedTuple):
    """Two decisions that contradict each other."""

    one: DecisionRow
    other: DecisionRow
    contradiction: Contradiction


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that is known at one moment.

    Attributes:
        now: fleet time in ms.
        wall: wall time in ms.
        claims: that are held, by number.
        overlapping: pairs of claims of several owners on overlapping things, in which neither only reads.
        work: of every task and agent.
        tasks: the same by id of task; of several agents on one task the first.
        capacities: of compute, by dimension.
        decisions: that are kept, by number.
        informed: whether whoever tells of work has had the time to tell this leader.
        patience: ms for which waiting is no conflict.
        agents_of: of an owner of claims, the agent, where it is known.
    """

    now: int = 0
    wall: int = 0
    claims: Mapping[int, ClaimRow] = field(default_factory=dict)
    overlapping: Sequence[tuple[ClaimRow, ClaimRow]] = ()
    waits: Sequence[Wait] = ()
    work: Sequence[Work] = ()
    tasks: Mapping[str, Work] = field(init=False)
    capacities: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[int, DecisionRow] = field(default_factory=dict)
    disagreements: Sequence[Disagreement] = ()
    precedents: Sequence[PrecedentRow] = ()
    informed: bool = True
    patience: int = 5_000
    agents_of: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", {each.task_id: each for each in reversed(self.work)})

    def agent(self, owner: str) -> str:
        """Return the agent that an owner of claims works for; the owner itself when nobody told."""
        return self.agents_of.get(owner, owner)

    def task_of(self, agent_id: str) -> Work | None:
        """Return what an agent works on, the most urgent first."""
        mine = [each for each in self.work if each.agent_id == agent_id]
        return max(mine, key=lambda each: (each.running, each.priority, each.task_id), default=None)

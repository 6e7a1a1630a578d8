"""Roll-outs as the journal knows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tercio_registry.state.config_commands import Change


class RolloutState(IntEnum):
    """How far a roll-out got. Values are persisted, and those of the contract."""

    RUNNING = 1
    PAUSED = 2
    ROLLING_BACK = 3
    SUCCEEDED = 4
    FAILED = 5
    ROLLED_BACK = 6
    CANCELLED = 7

    @property
    def is_over(self) -> bool:
        """True when it does nothing any more."""
        return self >= RolloutState.SUCCEEDED


class Member(NamedTuple):
    """An agent of a step, and the revision that it is to take."""

    agent_id: str
    revision: int


class Failure(NamedTuple):
    """An agent that did not take the change; the revision is 0 when it got none."""

    agent_id: str
    revision: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """One roll-out.

    Attributes:
        filter: which agents, as it was asked for.
        pause, observe: ms.
        created_seq: number of the record that started it.
        due: fleet time in ms before which no step begins.
        after: the last agent that was looked at; agents come in the order of their ids.
        room: how many more agents this step takes.
        exhausted: no agent is left.
        step: the agents of the step that is under way.
        failures: the first hundred.
    """

    rollout_id: str
    filter: str
    change: Change
    step_size: int
    pause: int
    observe: int
    max_failures: int
    rolls_back: bool
    created_seq: int
    author: str
    created_wall: int
    changed_wall: int
    state: RolloutState = RolloutState.RUNNING
    due: int = 0
    after: str = ""
    room: int = 0
    exhausted: bool = False
    step: tuple[Member, ...] = ()
    succeeded: int = 0
    failed: int = 0
    restored: int = 0
    failures: tuple[Failure, ...] = ()

    @property
    def size_bytes(self) -> int:
        """About how much it takes in a snapshot."""
        names = sum(10 + len(each.agent_id) for each in self.step)
        names += sum(12 + len(each.agent_id) + len(each.reason) for each in self.failures)
        return 150 + len(self.rollout_id) + len(self.filter) + len(self.change.text) + names

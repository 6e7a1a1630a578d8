"""What happened to configurations. By whom and when enters `apply` as the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tercio_registry.state.config_commands import Change
from tercio_registry.state.revisions import RevisionState
from tercio_registry.state.rollout_rows import Failure, Member, RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProposed:
    """A validated revision is to be tried on an agent."""

    agent_id: str
    revision: int
    document: str
    restored: int = 0
    rollout_id: str = ""
    observe: int = 0
    timeout: int = 0
    checked: bool = False


class ConfigDelivery(NamedTuple):
    """One agent that is sent what it is to run."""

    agent_id: str
    incarnation: int
    system_task_id: str


@dataclass(frozen=True, slots=True)
class ConfigDeliveriesBegun:
    """Revisions are on their way."""

    deliveries: tuple[ConfigDelivery, ...]


@dataclass(frozen=True, slots=True)
class ConfigDelivered:
    """An agent runs what it was sent."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class ConfigRetried:
    """An agent did not take what it is to run, and is sent it again later."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class ConfigActivated:
    """An agent was observed, and did not get worse."""

    agent_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRestored:
    """What was tried, or what a roll-out made active, is given up, and its backup comes back as a new revision."""

    agent_id: str
    state: RevisionState
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSchemaSet:
    """What configurations of a type of agent must conform to; empty for nothing."""

    agent_type: str
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStarted:
    """A change is brought to many agents; the filter is text, as it was asked for."""

    rollout_id: str
    filter: str
    change: Change
    step_size: int
    pause: int
    observe: int
    max_failures: int
    rolls_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutAdvanced:
    """A roll-out took more agents into its step, ended it, or changed its state; counts are what is added."""

    rollout_id: str
    state: RolloutState
    joined: tuple[Member, ...] = ()
    after: str = ""
    room: int = 0
    exhausted: bool = False
    step_ended: bool = False
    succeeded: int = 0
    restored: int = 0
    failures: tuple[Failure, ...] = ()


ConfigEvent = (
    ConfigProposed
    | ConfigDeliveriesBegun
    | ConfigDelivered
    | ConfigRetried
    | ConfigActivated
    | ConfigRestored
    | ConfigSchemaSet
)
RolloutEvent = RolloutStarted | RolloutAdvanced

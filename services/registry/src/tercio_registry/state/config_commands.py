"""What can be asked about configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

DEFAULT_OBSERVE_MS = 30_000
"""Three heartbeats of the default interval: what harms an agent shows by then."""
DEFAULT_TIMEOUT_MS = 30_000


class Change(NamedTuple):
    """A whole document, or a merge patch of the active one, as JSON."""

    text: str
    is_patch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateConfig:
    """Try a change on an agent; with `dry` only say what would become of it. Answers the `RevisionRow`.

    `expected` is the revision that must be active, 0 for none, None for any; times are in ms.
    """

    agent_id: str
    change: Change
    expected: int | None = None
    observe: int = DEFAULT_OBSERVE_MS
    timeout: int = DEFAULT_TIMEOUT_MS
    dry: bool = False
    rollout_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackConfig:
    """Try the document of an earlier revision, 0 for the active one's backup. Answers the `RevisionRow`."""

    agent_id: str
    revision: int = 0
    observe: int = DEFAULT_OBSERVE_MS
    timeout: int = DEFAULT_TIMEOUT_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConfigSchema:
    """Say what configurations of a type must conform to; an empty document removes the schema."""

    agent_type: str
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRollout:
    """Bring a change to the agents that match, in steps of so many agents, or else of so many percent; times in ms."""

    rollout_id: str
    filter: str
    change: Change
    step_size: int = 0
    percent: int = 0
    pause: int = 0
    observe: int = DEFAULT_OBSERVE_MS
    max_failures: int = 0
    rolls_back: bool = False


@dataclass(frozen=True, slots=True)
class PauseRollout:
    """Begin no further step, or go on."""

    rollout_id: str
    paused: bool


@dataclass(frozen=True, slots=True)
class CancelRollout:
    """End a roll-out."""

    rollout_id: str


ConfigCommand = UpdateConfig | RollbackConfig | SetConfigSchema | StartRollout | PauseRollout | CancelRollout

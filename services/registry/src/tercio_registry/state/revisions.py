"""Configurations as the journal knows them: every revision that is kept, and where each agent's stands."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from tercio_common.machine.table import Table, TableStore
from tercio_registry.state.agenda import AT_ONCE, Agenda
from tercio_registry.state.agents import AgentRow, Ailment, Health

REVISIONS: Final = "revisions"
CONFIGURATIONS: Final = "configurations"
CONFIG_SCHEMAS: Final = "config_schemas"
MOST_REVISIONS: Final = 20
"""Of one agent. The oldest are forgotten, but never the active one, its backup, and the one that is tried."""


class RevisionState(IntEnum):
    """How far a revision got. Values are persisted, and those of the contract."""

    PENDING = 1
    APPLYING = 2
    ACTIVE = 3
    FAILED = 4
    ROLLED_BACK = 5
    SUPERSEDED = 6

    @property
    def is_open(self) -> bool:
        """True until it is known what becomes of it."""
        return self <= RevisionState.APPLYING


class Stage(IntEnum):
    """What an agent's configuration waits for. Values are persisted."""

    SETTLED = 1
    WAITING = 2
    DELIVERING = 3
    OBSERVING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRow:
    """One revision of one agent.

    Attributes:
        document: canonical JSON.
        reason, message: why it is not active, for programs and for people.
        backup: what was active before it; 0 for nothing.
        restored: whose document it brings back; 0 when it is new.
        observe, timeout: ms that the agent is observed, and may take to apply it.
        checked: there was a schema.
        apply_took, observed: ms of fleet time; -1 while it was not.
    """

    agent_id: str
    revision: int
    document: str
    state: RevisionState
    author: str
    created_wall: int
    changed_wall: int
    reason: str = ""
    message: str = ""
    backup: int = 0
    restored: int = 0
    rollout_id: str = ""
    observe: int = 0
    timeout: int = 0
    checked: bool = False
    apply_took: int = -1
    observed: int = -1

    @property
    def size_bytes(self) -> int:
        """About how much it takes in a snapshot."""
        return 100 + len(self.agent_id) + len(self.document) + len(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationRow:
    """Where the configuration of one agent stands.

    Attributes:
        newest: the last number that was given.
        active: what the agent is to run; 0 for nothing.
        trial: what is being tried; 0 for nothing.
        due: fleet time in ms at which the stage ends, where it ends by itself.
        since: fleet time in ms at which it began.
        system_task_id: what carries the delivery; empty when none is under way.
        tries: deliveries that failed in a row.
        incarnation: of the agent that got it last.
        health, ailments: of the agent when it took what is tried.
        rollout_id: to which what is active is due; empty for none.
    """

    agent_id: str
    newest: int = 0
    active: int = 0
    trial: int = 0
    stage: Stage = Stage.SETTLED
    due: int = 0
    since: int = 0
    system_task_id: str = ""
    tries: int = 0
    incarnation: int = 0
    health: Health = Health.HEALTHY
    ailments: tuple[Ailment, ...] = ()
    rollout_id: str = ""

    @property
    def wanted(self) -> int:
        """What the agent is sent."""
        return self.trial or self.active


class ConfigSchemaRow(NamedTuple):
    """The schema of one type of agent; `changed_wall` is wall time in ms."""

    agent_type: str
    document: str
    author: str
    changed_wall: int
    changed_seq: int

    @property
    def size_bytes(self) -> int:
        """About how much it takes in a snapshot."""
        return 60 + len(self.agent_type) + len(self.document)


class Revisions:
    """The tables, and what is derived from them."""

    def __init__(self, store: TableStore) -> None:
        """Add the tables to `store`."""
        self.table: Table[RevisionRow] = Table(REVISIONS, lambda row: (row.agent_id, row.revision), store=store)
        self.configurations: Table[ConfigurationRow] = Table(
            CONFIGURATIONS, lambda row: row.agent_id, store=store, fed=False
        )
        self.schemas: Table[ConfigSchemaRow] = Table(CONFIG_SCHEMAS, lambda row: row.agent_type, store=store, fed=False)
        self.agenda = Agenda()
        self.numbers: dict[str, list[int]] = {}
        self.by_system_task: dict[str, str] = {}
        self.by_rollout: dict[str, dict[str, None]] = {}
        self.size_bytes = 0
        self.by_state: Counter[RevisionState] = Counter()
        self.table.add_index(_RevisionIndex(self))
        self.configurations.add_index(_ConfigurationIndex(self))

    def get(self, agent_id: str, revision: int) -> RevisionRow | None:
        """Return a revision that is kept."""
        return self.table.get((agent_id, revision))

    def of(self, agent_id: str) -> list[RevisionRow]:
        """Return the revisions of an agent, the newest first."""
        return [self.table[agent_id, each] for each in reversed(self.numbers.get(agent_id, ()))]

    def prune(self, agent_id: str) -> None:
        """Forget the oldest revisions of an agent beyond what is kept."""
        row, numbers = self.configurations[agent_id], self.numbers[agent_id]
        active = self.get(agent_id, row.active)
        kept = {row.active, row.trial, active.backup if active is not None else 0}
        for each in [one for one in numbers if one not in kept][: max(0, len(numbers) - MOST_REVISIONS)]:
            self.table.delete((agent_id, each))

    def forget(self, agent_id: str) -> None:
        """Forget all about an agent."""
        for each in list(self.numbers.get(agent_id, ())):
            self.table.delete((agent_id, each))
        if agent_id in self.configurations:
            self.configurations.delete(agent_id)

    def changed(self, key: str, old: AgentRow | None, new: AgentRow | None) -> None:
        """Look at the configuration of an agent that changed; see `Index`."""
        if key in self.configurations:
            self.agenda.set(key, AT_ONCE)


class _RevisionIndex:
    """The numbers of each agent, and the size of all."""

    def __init__(self, owner: Revisions) -> None:
        self._owner = owner

    def changed(self, key: tuple[str, int], old: RevisionRow | None, new: RevisionRow | None) -> None:
        agent_id, revision = key
        numbers = self._owner.numbers.setdefault(agent_id, [])
        if old is not None:
            self._owner.size_bytes -= old.size_bytes
            self._owner.by_state[old.state] -= 1
        if new is not None:
            self._owner.size_bytes += new.size_bytes
            self._owner.by_state[new.state] += 1
        if old is None:
            insort(numbers, revision)
        elif new is None:
            numbers.remove(revision)
        if not numbers:
            del self._owner.numbers[agent_id]


class _ConfigurationIndex:
    """What to look at, and whose delivery and whose roll-out it is."""

    def __init__(self, owner: Revisions) -> None:
        self._owner = owner

    def changed(self, key: str, old: ConfigurationRow | None, new: ConfigurationRow | None) -> None:
        owner = self._owner
        if old is not None and old.system_task_id:
            owner.by_system_task.pop(old.system_task_id, None)
        if old is not None and old.rollout_id:
            members = owner.by_rollout[old.rollout_id]
            del members[key]
            if not members:
                del owner.by_rollout[old.rollout_id]
        if new is None:
            owner.agenda.drop(key)
            return
        if new.system_task_id:
            owner.by_system_task[new.system_task_id] = key
        if new.rollout_id:
            owner.by_rollout.setdefault(new.rollout_id, {})[key] = None
        owner.agenda.set(key, AT_ONCE)

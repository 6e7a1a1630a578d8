"""Configurations of agents: what is asked for is validated, tried on the agent, observed, and given up if it harms.

What an agent runs goes through its own numbers, which only rise: also what is restored is a new revision, so that a
delivery that comes late is known and refused by the agent. While one revision is tried, no other may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tercio_common.errors import FieldViolation, Refusal
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table, TableStore
from tercio_registry.state import registration
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.config_commands import Change, RollbackConfig, SetConfigSchema, UpdateConfig
from tercio_registry.state.config_events import (
    ConfigActivated,
    ConfigDelivered,
    ConfigDeliveriesBegun,
    ConfigEvent,
    ConfigProposed,
    ConfigRestored,
    ConfigRetried,
    ConfigSchemaSet,
)
from tercio_registry.state.documents import EMPTY, DocumentError, canonical, merged, parse
from tercio_registry.state.revisions import (
    ConfigSchemaRow,
    ConfigurationRow,
    RevisionRow,
    Revisions,
    RevisionState,
    Stage,
)
from tercio_registry.state.schemas import Schema

_RETRY_MS = (1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000)
"""How long to wait before an agent is sent again what it is to run; the last one for ever."""


class Configurations:
    """The configurations of one machine: decides on proposals, and applies every event."""

    def __init__(self, store: TableStore, agents: Table[AgentRow]) -> None:
        """Add the tables to `store`, and follow `agents`."""
        self.revisions = Revisions(store)
        self._agents = agents
        agents.add_index(self.revisions)

    def update(self, command: UpdateConfig, *, room: int) -> ConfigProposed:
        """Decide to try a change on an agent, unless there is no `room` for it, in bytes.

        Raises:
            Refusal: INVALID_CONFIGURATION, AGENT_NOT_FOUND, AGENT_NOT_ACTIVE, CONFIGURATION_CONFLICT, QUEUE_FULL.
        """
        agent = registration.active(command.agent_id, self._agents.get(command.agent_id))
        row = self.row(command.agent_id)
        _check_free(row)
        if command.expected is not None and command.expected != row.active:
            raise _conflict(row, f"revision {row.active} is active and not {command.expected}")
        return self._proposed(agent, self._changed(row, command.change), command, room=room)

    def rollback(self, command: RollbackConfig, *, room: int) -> ConfigProposed:
        """Decide to try the document of an earlier revision. Raises as `update`, and CONFIGURATION_NOT_FOUND."""
        agent = registration.active(command.agent_id, self._agents.get(command.agent_id))
        row = self.row(command.agent_id)
        _check_free(row)
        former = self.present(command.agent_id, command.revision or self.present(command.agent_id, row.active).backup)
        return self._proposed(agent, former.document, command, room=room, restored=former.revision)

    def set_schema(self, command: SetConfigSchema, *, room: int) -> ConfigSchemaSet | None:
        """Decide on a schema; None when nothing changes.

        Raises:
            Refusal: INVALID_ARGUMENT, QUEUE_FULL.
        """
        known = self.revisions.schemas.get(command.agent_type)
        document = command.document
        if document == (known.document if known is not None else ""):
            return None
        if document:
            try:
                Schema(document, new=True)
            except DocumentError as error:
                violation = FieldViolation("document", str(error))
                raise Refusal("INVALID_ARGUMENT", f"the schema {error}", violations=(violation,)) from None
            check_room(len(document), room)
        return ConfigSchemaSet(agent_type=command.agent_type, document=document)

    def row(self, agent_id: str) -> ConfigurationRow:
        """Return where the configuration of an agent stands."""
        return self.revisions.configurations.get(agent_id) or ConfigurationRow(agent_id=agent_id)

    def present(self, agent_id: str, revision: int) -> RevisionRow:
        """Return a revision, or raise CONFIGURATION_NOT_FOUND."""
        found = self.revisions.get(agent_id, revision)
        if found is None:
            what = f"no revision {revision}" if revision else "no such configuration"
            message = f"agent {agent_id!r} has {what}; list its revisions to see which are kept"
            raise Refusal("CONFIGURATION_NOT_FOUND", message, {"agentId": agent_id, "revision": str(revision)})
        return found

    def violations(self, agent: AgentRow, document: str) -> Sequence[FieldViolation]:
        """Return what the schema of the agent's type has against a document; without a schema nothing."""
        schema = self.revisions.schemas.get(agent.profile.agent_type)
        return _violations(schema.document, document) if schema is not None else ()

    def after(self, event: ConfigProposed, at: Moment) -> RevisionRow:
        """Return the revision that a proposal makes."""
        return RevisionRow(
            agent_id=event.agent_id,
            revision=event.revision,
            document=event.document,
            state=RevisionState.PENDING,
            author=at.principal,
            created_wall=at.wall,
            changed_wall=at.wall,
            backup=self.row(event.agent_id).active,
            restored=event.restored,
            rollout_id=event.rollout_id,
            observe=event.observe,
            timeout=event.timeout,
            checked=event.checked,
        )

    def apply(self, event: ConfigEvent, at: Moment) -> None:
        """Change the tables."""
        match event:
            case ConfigProposed():
                self._propose(event, at)
            case ConfigDeliveriesBegun():
                self._deliver(event, at)
            case ConfigDelivered():
                self._take(event.agent_id, at)
            case ConfigRetried():
                self._retry(event.agent_id, at)
            case ConfigActivated():
                self._activate(event.agent_id, at)
            case ConfigRestored():
                self._restore(event, at)
            case ConfigSchemaSet():
                self._set_schema(event, at)

    def _changed(self, row: ConfigurationRow, change: Change) -> str:
        """Return the document after a change, in canonical JSON."""
        try:
            document = parse(change.text)
        except DocumentError as error:
            raise _invalid([FieldViolation("$", str(error))]) from None
        if not change.is_patch:
            return canonical(document)
        active = self.revisions.get(row.agent_id, row.active)
        return canonical(merged(parse(active.document if active is not None else EMPTY), document))

    def _proposed(
        self, agent: AgentRow, document: str, command: UpdateConfig | RollbackConfig, *, room: int, restored: int = 0
    ) -> ConfigProposed:
        size = len(document.encode())
        try:
            parse(document)  # what is patched may have become too large
        except DocumentError as error:
            raise _invalid([FieldViolation("$", str(error))]) from None
        if found := self.violations(agent, document):
            raise _invalid(found)
        check_room(size, room)
        return ConfigProposed(
            agent_id=agent.agent_id,
            revision=self.row(agent.agent_id).newest + 1,
            document=document,
            restored=restored,
            rollout_id=command.rollout_id if isinstance(command, UpdateConfig) else "",
            observe=command.observe,
            timeout=command.timeout,
            checked=agent.profile.agent_type in self.revisions.schemas,
        )

    def _propose(self, event: ConfigProposed, at: Moment) -> None:
        row = self.row(event.agent_id)
        self.revisions.table.put(self.after(event, at))
        self._put(row, at, newest=event.revision, trial=event.revision, stage=Stage.WAITING, due=at.now, tries=0)
        self.revisions.prune(event.agent_id)

    def _deliver(self, event: ConfigDeliveriesBegun, at: Moment) -> None:
        for each in event.deliveries:
            row = self.row(each.agent_id)
            if row.trial:
                self._mark(row, row.trial, at, state=RevisionState.APPLYING)
            changes = {"incarnation": each.incarnation, "system_task_id": each.system_task_id}
            self._put(row, at, stage=Stage.DELIVERING, **changes)

    def _take(self, agent_id: str, at: Moment) -> None:
        row = self.row(agent_id)
        revision = self.present(agent_id, row.wanted)
        self._mark(row, row.wanted, at, apply_took=at.now - row.since)
        if row.trial:
            due, agent = at.now + revision.observe, self._agents[agent_id]
            found = {"health": agent.own_health, "ailments": agent.ailments}
            self._put(row, at, stage=Stage.OBSERVING, due=due, tries=0, **found)
        else:
            self._put(row, at, stage=Stage.SETTLED, tries=0)

    def _retry(self, agent_id: str, at: Moment) -> None:
        row = self.row(agent_id)
        pause = _RETRY_MS[min(row.tries, len(_RETRY_MS) - 1)]
        self._put(row, at, stage=Stage.WAITING, due=at.now + pause, tries=row.tries + 1)

    def _activate(self, agent_id: str, at: Moment) -> None:
        row = self.row(agent_id)
        if row.active:
            self._mark(row, row.active, at, state=RevisionState.SUPERSEDED)
        trial = self._mark(row, row.trial, at, state=RevisionState.ACTIVE, observed=at.now - row.since)
        self._put(row, at, active=trial.revision, trial=0, stage=Stage.SETTLED, rollout_id=trial.rollout_id)
        self.revisions.prune(agent_id)

    def _restore(self, event: ConfigRestored, at: Moment) -> None:
        """Give up what is tried, or else what is active; its backup becomes active again, by a new number."""
        row = self.row(event.agent_id)
        given_up = self.present(event.agent_id, row.wanted)
        backup = self.revisions.get(event.agent_id, given_up.backup)
        if row.active and row.active != given_up.revision:
            self._mark(row, row.active, at, state=RevisionState.SUPERSEDED)
        spent = at.now - row.since
        observed = spent if row.stage is Stage.OBSERVING else given_up.observed
        took = spent if row.stage is Stage.DELIVERING else given_up.apply_took
        why = {"state": event.state, "reason": event.reason, "message": event.message}
        self._mark(row, row.wanted, at, observed=observed, apply_took=took, **why)
        newest = row.newest + 1
        self.revisions.table.put(_restoring(given_up, backup, newest, at))
        rollout_id = row.rollout_id if row.trial else ""
        self._put(
            row, at, newest=newest, active=newest, trial=0, stage=Stage.WAITING, due=at.now, tries=0,
            rollout_id=rollout_id,
        )  # fmt: skip
        self.revisions.prune(event.agent_id)

    def _set_schema(self, event: ConfigSchemaSet, at: Moment) -> None:
        schemas = self.revisions.schemas
        if event.document:
            schemas.put(ConfigSchemaRow(event.agent_type, event.document, at.principal, at.wall, at.seq))
        else:
            schemas.delete(event.agent_type)

    def _mark(self, row: ConfigurationRow, revision: int, at: Moment, **changes: Any) -> RevisionRow:
        marked = replace(self.present(row.agent_id, revision), changed_wall=at.wall, **changes)
        self.revisions.table.put(marked)
        return marked

    def _put(self, row: ConfigurationRow, at: Moment, **changes: Any) -> None:
        self.revisions.configurations.put(replace(row, **{"since": at.now, "system_task_id": "", **changes}))


@lru_cache(maxsize=64)
def _compiled(document: str) -> Schema:
    return Schema(document)


@lru_cache(maxsize=128)
def _violations(schema: str, document: str) -> Sequence[FieldViolation]:
    """A roll-out brings the same document to many agents, and each is checked before and after it is sent."""
    return tuple(_compiled(schema).violations(parse(document)))


def _restoring(given_up: RevisionRow, backup: RevisionRow | None, number: int, at: Moment) -> RevisionRow:
    what = f"the document of revision {backup.revision}" if backup is not None else "no configuration"
    return RevisionRow(
        agent_id=given_up.agent_id,
        revision=number,
        document=backup.document if backup is not None else EMPTY,
        state=RevisionState.ACTIVE,
        author=at.principal,
        created_wall=at.wall,
        changed_wall=at.wall,
        message=f"{what} was restored, because revision {given_up.revision} was given up",
        backup=backup.backup if backup is not None else 0,
        restored=backup.revision if backup is not None else 0,
        timeout=given_up.timeout,
        checked=backup is not None and backup.checked,
    )


def _check_free(row: ConfigurationRow) -> None:
    if row.trial:
        raise _conflict(row, f"revision {row.trial} is being tried")


def check_room(size: int, room: int) -> None:
    """Raise QUEUE_FULL unless so many bytes more may be kept."""
    if size > room:
        message = "the registry holds as much as its limit allows; raise it, or wait until agents are forgotten"
        raise Refusal("QUEUE_FULL", message, retry_after_ms=60_000)


def _conflict(row: ConfigurationRow, why: str) -> Refusal:
    facts: Mapping[str, str] = {
        "agentId": row.agent_id, "activeRevision": str(row.active), "triedRevision": str(row.trial),
    }  # fmt: skip
    message = f"the configuration of agent {row.agent_id!r} was not changed: {why}; look at it and try again"
    return Refusal("CONFIGURATION_CONFLICT", message, facts)


def _invalid(found: Sequence[FieldViolation]) -> Refusal:
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    message = f"{found[0].field}: {found[0].description}{more}; nothing was changed"
    return Refusal("INVALID_CONFIGURATION", message, violations=tuple(found))

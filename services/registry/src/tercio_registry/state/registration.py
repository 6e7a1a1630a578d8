"""Joining and leaving: identity, incarnations, and who may take an id.

An id belongs to the secret that registered it first. The same secret comes back as the same agent: as the same
incarnation when it is the same process, else as the next one, which replaces the former. Another secret gets the id
only after the former agent's membership ended and its retention passed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_registry.state.agents import OWN_AILMENTS, AgentRow, Drain, Health, Membership
from tercio_registry.state.commands import DeregisterAgent, RegisterAgent
from tercio_registry.state.events import AgentDeregistered, AgentDrained, AgentRegistered
from tercio_registry.state.reservations import keepable
from tercio_registry.state.rules import Rules

_LIMIT_RETRY_MS: Final = 10_000
"""When one who found no place may look again: agents leave when they are done, or are gone after some such times."""


def register(command: RegisterAgent, row: AgentRow | None, at: Moment, *, rules: Rules, floor: int) -> AgentRegistered:
    """Decide a registration.

    Raises:
        Refusal: AGENT_IMPOSTOR, or REGISTRATION_EXCEPTION when what was to be kept is no longer there.
    """
    if row is not None and row.fingerprint != command.fingerprint:
        raise _impostor(row, at, rules)
    if command.reservation_id and command.reservation_id != keepable(row, command.fingerprint, command.profile):
        raise Refusal(
            "REGISTRATION_EXCEPTION", "what the agent's former process had reserved was given back; register again"
        )
    return AgentRegistered(
        agent_id=command.agent_id,
        profile=command.profile,
        fingerprint=command.fingerprint,
        instance_id=command.instance_id,
        incarnation=_incarnation(command, row, floor),
        registration_id=command.registration_id,
        reservation_id=command.reservation_id,
    )


def registered(event: AgentRegistered, row: AgentRow | None, at: Moment) -> AgentRow:
    """Return the row after a registration."""
    same = row if row is not None and row.incarnation == event.incarnation else None
    cordoned = row is not None and row.cordoned
    return AgentRow(
        agent_id=event.agent_id,
        profile=event.profile,
        fingerprint=event.fingerprint,
        instance_id=event.instance_id,
        incarnation=event.incarnation,
        # What it requires was reserved anew.
        ailments=tuple(each for each in same.ailments if each in OWN_AILMENTS) if same is not None else (),
        confirmed_generation=at.epoch.generation,
        confirmed_revision=at.epoch.revision,
        cordoned=cordoned,
        draining=same is not None and same.draining,
        leave_by=same.leave_by if same is not None else 0,
        reason=row.reason if row is not None and row.active and (cordoned or same is not None) else "",
        registered_wall=same.registered_wall if same is not None else at.wall,
        enrolled_now=at.now,
        changed_seq=at.seq,
        registration_id=event.registration_id,
        reservation_id=event.reservation_id,
        performance=row.performance if row is not None else (),
        config_revision=row.config_revision if row is not None else 0,
    )


def deregister(command: DeregisterAgent, row: AgentRow | None, at: Moment) -> AgentDeregistered | AgentDrained | None:
    """Decide a farewell, or the drain before it; None when it changes nothing.

    Raises:
        Refusal: AGENT_NOT_FOUND or AGENT_REPLACED.
    """
    row = incarnation_of(row, command.agent_id, command.incarnation)
    if not row.active:
        return None
    if not command.leave_within:
        return AgentDeregistered(agent_id=row.agent_id, reason=command.reason, drain=command.drain)
    leave_by = at.now + command.leave_within
    if row.draining and row.leave_by:
        leave_by = min(leave_by, row.leave_by)  # a second call may hasten the end, never put it off
    if row.draining and (leave_by, command.reason) == (row.leave_by, row.reason):
        return None
    return AgentDrained(agent_id=row.agent_id, reason=command.reason, leave_by=leave_by)


def ended(row: AgentRow, membership: Membership, reason: str, at: Moment, *, drain: Drain | None = None) -> AgentRow:
    """Return the row after its membership ended."""
    return replace(
        row,
        membership=membership,
        regularity=Health.HEALTHY,
        ailments=(),
        draining=False,
        leave_by=0,
        drain=drain,
        reason=reason,
        ended_now=at.now,
        changed_seq=at.seq,
    )


def present(agent_id: str, row: AgentRow | None) -> AgentRow:
    """Return the row, or raise AGENT_NOT_FOUND."""
    if row is None:
        message = f"no agent {agent_id!r} is registered; list agents to see which are"
        raise Refusal("AGENT_NOT_FOUND", message, {"agentId": agent_id})
    return row


def incarnation_of(row: AgentRow | None, agent_id: str, incarnation: int) -> AgentRow:
    """Return the row if it is that incarnation's, or raise AGENT_NOT_FOUND or AGENT_REPLACED; 0 is any."""
    row = present(agent_id, row)
    if incarnation and incarnation != row.incarnation:
        raise Refusal(
            "AGENT_REPLACED" if incarnation < row.incarnation else "AGENT_NOT_FOUND",
            f"incarnation {incarnation} of agent {row.agent_id!r} is not the present one, {row.incarnation} is; "
            "nothing was changed",
            {"agentId": row.agent_id, "incarnation": str(row.incarnation)},
        )
    return row


def active(agent_id: str, row: AgentRow | None) -> AgentRow:
    """Return the row of an active agent, or raise AGENT_NOT_FOUND or AGENT_NOT_ACTIVE."""
    row = present(agent_id, row)
    if not row.active:
        raise Refusal(
            "AGENT_NOT_ACTIVE",
            f"agent {agent_id!r} is {row.membership.name}; it can be changed again once it has registered",
            {"agentId": agent_id, "state": row.membership.name},
        )
    return row


def check_limit(row: AgentRow | None, active: int, rules: Rules) -> None:
    """Raise AGENT_LIMIT_REACHED unless the fleet may have one agent more; who is active already may always come anew.

    A limit that was lowered ends nobody.
    """
    if (row is not None and row.active) or active < rules.max_agents:
        return
    gap = {"required": active + 1, "available": rules.max_agents, "gap": active + 1 - rules.max_agents}
    raise Refusal(
        "AGENT_LIMIT_REACHED",
        f"{active} agents are active, and the fleet may have {rules.max_agents}; deregister one, or raise max_agents",
        {**{f"agents.{name}": str(value) for name, value in gap.items()}, "agents.bound": "fleet"},
        retry_after_ms=_LIMIT_RETRY_MS,
    )


def _incarnation(command: RegisterAgent, row: AgentRow | None, floor: int) -> int:
    if row is None:
        return floor + 1
    if row.active and row.instance_id == command.instance_id:
        return row.incarnation
    return row.incarnation + 1


def _impostor(row: AgentRow, at: Moment, rules: Rules) -> Refusal:
    if row.active:
        message = f"agent id {row.agent_id!r} is held by another living agent; choose another id or use its secret"
        return Refusal("AGENT_IMPOSTOR", message, {"agentId": row.agent_id})
    wait = max(0, row.ended_now + rules.retention - at.now)
    message = (
        f"agent id {row.agent_id!r} is kept for the agent that held it, for {wait} ms more; choose another id, "
        "use its secret, or wait"
    )
    return Refusal("AGENT_IMPOSTOR", message, {"agentId": row.agent_id}, retry_after_ms=wait)

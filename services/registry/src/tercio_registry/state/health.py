"""Health: what follows when agents renew, and when they do not.

Heartbeats are not recorded; the transitions that they bring or that their absence brings are, in steps of many agents.
An agent that the present leader has not heard stays as it was recorded, which readers see as UNCONFIRMED, until it
renews or a full TTL has passed since the leader began to listen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_registry.state.agents import AgentRow, Health
from tercio_registry.state.deadlines import Deadlines
from tercio_registry.state.events import (
    AgentDeregistered,
    AgentsConfirmed,
    AgentsDeclined,
    AgentsEvicted,
    AgentsGone,
    Event,
)
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session

_LOOKS_PER_CHANGE = 4
"""A tick looks at four times as many agents as it may change: a take-over of a large fleet is worked off in slices."""


def expire(
    agents: Table[AgentRow], deadlines: Deadlines, at: Moment, *, session: Session, rules: Rules, limit: int
) -> list[Event]:
    """Decide what is due, for at most `limit` agents; set every other deadline that came up again."""
    found: dict[Health | str, list[str]] = {}
    changes = looks = 0
    while changes < limit and looks < limit * _LOOKS_PER_CHANGE and (agent_id := deadlines.pop(at.now)) is not None:
        looks += 1
        row = agents[agent_id]
        outcome, due = _look(row, at, session=session, rules=rules)
        # Set at once, also where a change follows: should the change be undone, the agent is looked at again.
        deadlines.set(agent_id, max(due, at.now + 1))
        if outcome is not None:
            found.setdefault(outcome, []).append(agent_id)
            changes += 1
    return [event for outcome, agent_ids in found.items() for event in _events(outcome, tuple(agent_ids), rules)]


def confirm(agents: Table[AgentRow], agent_ids: Iterable[str], at: Moment, *, session: Session) -> list[Event]:
    """Decide which of these agents are healthy again or for the first time with this leader."""
    heard = tuple(
        agent_id
        for agent_id in agent_ids
        if (row := agents.get(agent_id)) is not None and row.active and _is_news(row, at, session)
    )
    return [AgentsConfirmed(heard)] if heard else []


def confirmed(row: AgentRow, at: Moment) -> AgentRow:
    """Return the row after the leader has heard the agent."""
    generation, revision = at.epoch
    return replace(
        row,
        health=Health.HEALTHY,
        confirmed_generation=generation,
        confirmed_revision=revision,
        changed_seq=at.seq,
    )


def declined(row: AgentRow, health: Health, at: Moment) -> AgentRow:
    """Return the row after heartbeats were missed."""
    return replace(row, health=health, changed_seq=at.seq)


_GONE = "gone"
_EVICTED = "evicted"
_LEFT = "left"


def _look(row: AgentRow, at: Moment, *, session: Session, rules: Rules) -> tuple[Health | str | None, int]:
    """Return what is due for an agent, and when to look again."""
    if not row.active:
        end = row.ended_now + rules.retention
        return (_EVICTED if at.now >= end else None), end
    start = session.lease_start(row, at.now)
    age = at.now - start
    if age >= rules.ttl:
        return _GONE, at.now + rules.interval
    if row.leave_by and at.now >= row.leave_by:
        return _LEFT, at.now + rules.interval
    health = rules.health_at(age)
    worse = health > row.health and row.confirmed_by(*at.epoch)
    due = start + rules.next_age(age)
    return (health if worse else None), min(due, row.leave_by) if row.leave_by else due


def _is_news(row: AgentRow, at: Moment, session: Session) -> bool:
    renewed = session.last_renewal(row.agent_id)
    if renewed is None or session.rules.health_at(at.now - renewed) is not Health.HEALTHY:
        return False
    return row.health is not Health.HEALTHY or not row.confirmed_by(*at.epoch)


def _events(outcome: Health | str, agent_ids: tuple[str, ...], rules: Rules) -> list[Event]:
    if isinstance(outcome, Health):
        return [AgentsDeclined(outcome, agent_ids)]
    if outcome == _GONE:
        return [AgentsGone(agent_ids, f"no heartbeat for {rules.ttl} ms")]
    if outcome == _LEFT:
        why = "its time to drain was over"
        return [AgentDeregistered(agent_id=agent_id, reason=why) for agent_id in agent_ids]
    return [AgentsEvicted(agent_ids)]

"""Health: what follows when agents renew, report and answer, and when they do not.

Heartbeats, reports and canaries are not judged one by one in the journal: only the transitions that they bring or that
their absence brings are events, in steps of many agents. An agent's health is the worst of all that is known of it.
An agent that the present leader has not heard stays as it was recorded, which readers see as UNCONFIRMED, until it
renews or a full TTL has passed since the leader began to listen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_registry.state.agents import AgentRow, Ailment, Health
from tercio_registry.state.deadlines import Deadlines
from tercio_registry.state.events import (
    AgentDeregistered,
    AgentsConfirmed,
    AgentsDeclined,
    AgentsEvicted,
    AgentsGone,
    AgentsJudged,
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
    """Decide which of these agents renew better, or for the first time with this leader, and what else has changed."""
    heard: dict[Health, list[str]] = {}
    judged: dict[tuple[Ailment, bool], list[str]] = {}
    for agent_id in agent_ids:
        row = agents.get(agent_id)
        if row is None or not row.active:
            continue
        if _is_news(row, at, session):
            heard.setdefault(session.regularity_of(row), []).append(agent_id)
        for ailment in session.verdicts.due(row):
            judged.setdefault((ailment, ailment not in row.ailments), []).append(agent_id)
    found: list[Event] = [AgentsConfirmed(tuple(each), regularity) for regularity, each in heard.items()]
    found += [
        AgentsJudged(ailment=ailment, ailing=ailing, agent_ids=tuple(each))
        for (ailment, ailing), each in judged.items()
    ]
    return found


def confirmed(row: AgentRow, regularity: Health, at: Moment) -> AgentRow:
    """Return the row after the leader has heard the agent."""
    generation, revision = at.epoch
    return replace(
        row,
        regularity=regularity,
        confirmed_generation=generation,
        confirmed_revision=revision,
        changed_seq=at.seq,
    )


def declined(row: AgentRow, regularity: Health, at: Moment) -> AgentRow:
    """Return the row after heartbeats were missed."""
    return replace(row, regularity=regularity, changed_seq=at.seq)


def judged(row: AgentRow, event: AgentsJudged, at: Moment) -> AgentRow:
    """Return the row after a verdict has changed."""
    others = set(row.ailments) - {event.ailment}
    ailments = others | {event.ailment} if event.ailing else others
    return replace(row, ailments=tuple(sorted(ailments)), changed_seq=at.seq)


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
    regularity = rules.regularity_at(age)
    worse = regularity > row.regularity and row.confirmed_by(*at.epoch)
    due = start + rules.next_age(age)
    return (regularity if worse else None), min(due, row.leave_by) if row.leave_by else due


def _is_news(row: AgentRow, at: Moment, session: Session) -> bool:
    renewed = session.last_renewal(row.agent_id)
    if renewed is None or session.rules.regularity_at(at.now - renewed) is not Health.HEALTHY:
        return False
    changes = session.regularity_of(row) is not row.regularity or not row.confirmed_by(*at.epoch)
    return changes or session.has_returned(row.agent_id)


def _events(outcome: Health | str, agent_ids: tuple[str, ...], rules: Rules) -> list[Event]:
    if isinstance(outcome, Health):
        return [AgentsDeclined(outcome, agent_ids)]
    if outcome == _GONE:
        return [AgentsGone(agent_ids, f"no heartbeat for {rules.ttl} ms")]
    if outcome == _LEFT:
        why = "its time to drain was over"
        return [AgentDeregistered(agent_id=agent_id, reason=why) for agent_id in agent_ids]
    return [AgentsEvicted(agent_ids)]

"""Which offered attempts to ask back: agents hold some ahead of time, and another one may be idle before their turn.

A recall decides nothing, so no journal knows it: the attempt stays with its agent until the agent returns it or its
lease ends, and the agent ignores a recall of what it has begun. The session notes what a stream was asked for, so that
it hears of each attempt once; after a new Hello it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_scheduler.state.commands import AttemptKey
from tercio_scheduler.state.rows import Requirement, State, TaskRow
from tercio_scheduler.state.session import AgentLink, SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

RIPE_MS: Final = 100
"""Agents ask for the work of the next 50 ms: what has waited twice as long was asked for in vain."""
_PATIENCE_MS: Final = 1_000
"""So long an unanswered recall counts as work on its way to an idle agent; a stopped agent never answers."""
_MOST: Final = 1_000
"""Attempts recalled from agents that take no work, each, at once; the others follow."""


_MOST_LOOKED_AT: Final = 5_000
"""Attempts looked at for what idle agents could run: about 2 ms."""


class Recall(NamedTuple):
    """Attempts to ask one process back for."""

    agent_id: str
    instance_id: bytes
    keys: tuple[AttemptKey, ...]


def due(tables: SchedulerTables, session: SchedulerSession, at: Moment) -> list[Recall]:
    """Return what to ask back now: all that agents without a right to new work hold unbegun, and what others could run.

    The latter are attempts that have waited for `RIPE_MS` beyond what their agent runs at once, as many as other agents
    have free slots that no ready task would fill.
    """
    by_agent = tables.index.by_agent
    found: list[Recall] = []
    idle: dict[str, int] = {}
    overfull: list[AgentLink] = []
    for link in session.connected():
        held = len(by_agent.get(link.agent_id, ()))
        if not link.takes_work:
            if held:
                found.append(_recall(link, islice(_unbegun(tables, link, until=at.now), _MOST)))
        elif held < link.concurrency:
            idle[link.agent_id] = link.concurrency - held
        elif held > link.concurrency:
            overfull.append(link)
    if overfull and idle:
        found += _surplus(tables, session, overfull, idle, at)
    return [recall for recall in found if recall.keys]


def _surplus(
    tables: SchedulerTables, session: SchedulerSession, overfull: list[AgentLink], idle: dict[str, int], at: Moment
) -> Iterator[Recall]:
    by_agent = tables.index.by_agent
    slots = _IdleSlots(tables, session, idle)
    asked = sum(_unanswered(tables, link) for link in overfull if at.now - link.recalled_at < _PATIENCE_MS)
    room, looks = slots.count - asked, _MOST_LOOKED_AT
    overfull.sort(key=lambda link: len(by_agent[link.agent_id]) / link.concurrency, reverse=True)
    for link in overfull:
        if room <= 0 or looks <= 0:
            return
        held = len(by_agent[link.agent_id])
        looks -= held
        surplus = held - link.concurrency - _unanswered(tables, link)
        ripe = _unbegun(tables, link, until=at.now - RIPE_MS)
        wanted = (row for row in ripe if slots.take(row.spec.template.requirement))
        recall = _recall(link, islice(wanted, max(0, min(surplus, room))))
        room -= len(recall.keys)
        yield recall


class _IdleSlots:
    """Free slots of agents for which no ready task waits."""

    def __init__(self, tables: SchedulerTables, session: SchedulerSession, idle: dict[str, int]) -> None:
        self._session, self._left = session, idle
        self._able: dict[Requirement, list[str]] = {}
        for requirement in {lane.requirement for lane, _ in tables.index.ready.lines()}:
            for agent_id in session.able(requirement) & idle.keys():
                del idle[agent_id]
        self.count = sum(idle.values())

    def take(self, requirement: Requirement) -> bool:
        """Take a slot in which such a task could run; tell whether there was one."""
        able = self._able.get(requirement)
        if able is None:
            able = self._able[requirement] = sorted(self._session.able(requirement) & self._left.keys())
        while able and not self._left[able[-1]]:
            able.pop()
        if able:
            self._left[able[-1]] -= 1
        return bool(able)


def _unbegun(tables: SchedulerTables, link: AgentLink, *, until: int) -> Iterator[TaskRow]:
    """Give what the agent was offered until then, has not begun and was not asked for, the newest first.

    System tasks stay: whoever takes no work does these.
    """
    for task_id in reversed(tables.index.by_agent.get(link.agent_id, {})):
        row = tables.tasks[task_id]
        if task_id in tables.index.system:
            continue
        if row.state is State.OFFERED and row.entered.now <= until and link.recalled.get(task_id) != row.number:
            yield row


def _unanswered(tables: SchedulerTables, link: AgentLink) -> int:
    """Count what the agent was asked for and still holds unbegun."""
    held, get = tables.index.by_agent.get(link.agent_id, {}), tables.tasks.__getitem__
    return sum(
        (row := get(task_id)).state is State.OFFERED and row.number == number
        for task_id, number in link.recalled.items()
        if task_id in held
    )


def _recall(link: AgentLink, rows: Iterator[TaskRow]) -> Recall:
    keys = [AttemptKey(row.task_id, row.offer.epoch, row.number) for row in rows if row.offer is not None]
    return Recall(link.agent_id, link.instance_id, tuple(keys))

"""What waits, what is held, and who could do more: a look at the tip, by requirement."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Final, NamedTuple

from tercio_scheduler.state.lines import Line
from tercio_scheduler.state.queue_counts import NOTHING_COUNTED, QueueCount, QueueCounts
from tercio_scheduler.state.rows import SYSTEM_TYPES, Requirement
from tercio_scheduler.state.session import AgentLink, SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

_MOST_QUEUES: Final = 1_000
_MOST_AGENTS: Final = 10_000


class Queue(NamedTuple):
    """Tasks of one requirement.

    Attributes:
        requirement: what they ask of their agent.
        waiting: how many wait, also for claims and resources.
        admitting: how many of them wait for those.
        oldest_wait: how long the first of them has waited, in ms.
        held: attempts that agents hold.
        counted: what came and went since it is counted.
    """

    requirement: Requirement
    waiting: int = 0
    admitting: int = 0
    oldest_wait: int = 0
    held: int = 0
    counted: QueueCount = NOTHING_COUNTED


class Load(NamedTuple):
    """What one connected agent holds; the fleet's own tasks do not count."""

    agent: AgentLink
    held: int


class QueueStats(NamedTuple):
    """A look at the queues; `counted_for` is in ms."""

    counted_for: int
    queues: tuple[Queue, ...]
    agents: tuple[Load, ...]


def queue_stats(tables: SchedulerTables, session: SchedulerSession, now: int) -> QueueStats:
    """Return what is seen; the fleet's own tasks do not count."""
    counts = session.queue_counts
    queues = [queue for queue in _queues(tables, counts, now) if not _is_own(queue.requirement)]
    queues.sort(key=lambda queue: (-queue.waiting, -queue.held, queue.requirement))
    agents = sorted(session.connected(), key=lambda link: link.agent_id)
    return QueueStats(
        counted_for=now - counts.began if counts.began is not None else 0,
        queues=tuple(queues[:_MOST_QUEUES]),
        agents=tuple([Load(link, _held(tables, link.agent_id)) for link in agents[:_MOST_AGENTS]]),
    )


def _queues(tables: SchedulerTables, counts: QueueCounts, now: int) -> Iterable[Queue]:
    found = {requirement: Queue(requirement, counted=counted) for requirement, counted in counts.by_requirement.items()}

    def add(requirement: Requirement, line: Line, *, admitting: bool) -> None:
        queue, first = found.get(requirement, Queue(requirement)), line.first()
        if first is not None:
            found[requirement] = queue._replace(
                waiting=queue.waiting + len(line),
                admitting=queue.admitting + (len(line) if admitting else 0),
                oldest_wait=max(queue.oldest_wait, now - first.ready.now),
            )

    for lane, line in tables.index.ready.lines():
        add(lane.requirement, line, admitting=False)
    for needs, line in tables.index.admitting.lines():
        add(needs.lane.requirement, line, admitting=True)
    for task_id in chain.from_iterable(tables.index.by_agent.values()):
        requirement = tables.tasks[task_id].spec.template.requirement
        queue = found.get(requirement, Queue(requirement))
        found[requirement] = queue._replace(held=queue.held + 1)
    return found.values()


def _held(tables: SchedulerTables, agent_id: str) -> int:
    """Return how many attempts an agent holds; what the fleet itself asks of it is over in a moment."""
    held = tables.index.by_agent.get(agent_id, ())
    return sum(not _is_own(tables.tasks[task_id].spec.template.requirement) for task_id in held)


def _is_own(requirement: Requirement) -> bool:
    return requirement.task_type.startswith(SYSTEM_TYPES)

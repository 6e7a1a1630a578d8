"""Tells agents what to stop: attempts that are being cancelled, that ran too long, or that were taken from them.

It reads committed changes, so nothing is stopped for a decision that could still be lost. An agent that is not
connected is told when it says hello. A record at which this fails is passed over, and none of those after it. The
stream of an agent that lost its lease is cut: a stopped process would otherwise be offered the same tasks again and
again, and cost each of them an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tercio_common.machine.host import Host
from tercio_scheduler import metrics
from tercio_scheduler.api.agent_streams import AgentStreams
from tercio_scheduler.state.commands import AttemptKey
from tercio_scheduler.state.rows import LIVE_ATTEMPT, NO_PAST, State, TaskRow
from tercio_scheduler.state.session import SchedulerSession

_NAME: Final = "attempts"
_LOST: Final = "AGENT_LOST"
_TAKEN: Final = frozenset({"ATTEMPT_TIMEOUT", _LOST})


class AttemptFollower:
    """The effect."""

    def __init__(self, agents: AgentStreams, *, lease_ms: int) -> None:
        """Tell the agents of these streams."""
        self._agents = agents
        self._lease_ms = lease_ms

    async def run(self, host: Host) -> None:
        """Follow the feed for as long as the leadership lasts."""
        session: SchedulerSession = host.session
        async for entry in host.feed.follow(_NAME):
            rows = entry.changes.rows("tasks")
            if session.progress:
                _drop_progress(rows, session)
            for row in rows.values():
                # Most tasks have no past and are not cancelled: they are passed over without a call.
                if row is not None and (row.past is not NO_PAST or row.state is State.CANCELLING):
                    self._follow(row, session, now=entry.now)

    def _follow(self, row: TaskRow, session: SchedulerSession, *, now: int) -> None:
        if row.state is State.CANCELLING:
            self._cancel(row)
        elif row.state not in LIVE_ATTEMPT and row.past.errors:
            self._follow_failure(row, session, now=now)

    def _follow_failure(self, row: TaskRow, session: SchedulerSession, *, now: int) -> None:
        """Stop an attempt that this change took from its agent; later changes of the row still show its error."""
        error = row.past.errors[-1]
        if error.wall != row.entered.wall or error.reason not in _TAKEN:
            return
        metrics.count_taken(error.reason)
        self._cancel(row)
        link = session.agents.get(error.agent_id)
        if error.reason == _LOST and link is not None and link.renewed_at + self._lease_ms < now:
            session.detach(error.agent_id, instance_id=link.instance_id)
            self._agents.cut(error.agent_id)

    def _cancel(self, row: TaskRow) -> None:
        offer = row.offer
        if offer is not None:
            self._agents.cancel(offer.agent_id, offer.instance_id, AttemptKey(row.task_id, offer.epoch, row.number))


def _drop_progress(rows: Mapping[str, TaskRow | None], session: SchedulerSession) -> None:
    for task_id, row in rows.items():
        if row is None or row.state not in LIVE_ATTEMPT:
            session.drop_progress(task_id)

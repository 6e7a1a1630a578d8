"""Tells agents what to stop: attempts that are being cancelled, that ran too long, or that were taken from them.

It reads committed changes, so nothing is stopped for a decision that could still be lost. An agent that is not
connected is told when it says hello.
"""

from __future__ import annotations

from typing import Final

from tercio_common.machine.host import Host
from tercio_scheduler import metrics
from tercio_scheduler.api.agent_streams import AgentStreams
from tercio_scheduler.state.commands import AttemptKey
from tercio_scheduler.state.rows import LIVE_ATTEMPT, State, TaskRow
from tercio_scheduler.state.session import SchedulerSession

_TAKEN: Final = frozenset({"ATTEMPT_TIMEOUT", "AGENT_LOST"})


class AttemptFollower:
    """The effect."""

    def __init__(self, agents: AgentStreams) -> None:
        """Tell the agents of these streams."""
        self._agents = agents

    async def run(self, host: Host) -> None:
        """Follow the feed for as long as the leadership lasts."""
        session: SchedulerSession = host.session
        async for entries in host.feed.subscribe(None):
            for entry in entries:
                for table, key, row in entry.changes:
                    if table == "tasks":
                        self._follow(key, row, session)

    def _follow(self, task_id: str, row: TaskRow | None, session: SchedulerSession) -> None:
        if row is None or row.state not in LIVE_ATTEMPT:
            if session.progress:
                session.drop_progress(task_id)
            if row is not None and row.past.errors:
                self._follow_failure(row)
        elif row.state is State.CANCELLING:
            self._cancel(row)

    def _follow_failure(self, row: TaskRow) -> None:
        """Stop an attempt that this change took from its agent; later changes of the row still show its error."""
        error = row.past.errors[-1]
        if error.wall == row.entered.wall and error.reason in _TAKEN:
            metrics.count_taken(error.reason)
            self._cancel(row)

    def _cancel(self, row: TaskRow) -> None:
        offer = row.offer
        if offer is not None:
            self._agents.cancel(offer.agent_id, offer.instance_id, AttemptKey(row.task_id, offer.epoch, row.number))

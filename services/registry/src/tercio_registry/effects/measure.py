"""Measures how soon failing agents are found and are healthy again, and take configurations, as one leader sees it."""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_registry import metrics
from tercio_registry.state.agents import AgentRow, Health, Membership
from tercio_registry.state.machine import AGENTS
from tercio_registry.state.revisions import REVISIONS, RevisionState
from tercio_registry.state.session import Session
from tercio_registry.state.views import State


async def measure(host: Host) -> None:
    """Observe every change of health, and every configuration that is taken."""
    while True:
        outages = Outages(host.session)
        try:
            async for entries in host.feed.subscribe(None):
                for entry in entries:
                    outages.observe(entry)
                    _observe_configurations(entry)
        except Refusal as refusal:
            if refusal.reason != "READER_TOO_SLOW":
                raise
            # What began meanwhile is not known: it is not measured.


def _observe_configurations(entry: FeedEntry) -> None:
    for row in entry.changes.rows(REVISIONS).values():
        # Once a revision: what it changes to next is another state.
        if row is not None and row.state is RevisionState.APPLYING and row.apply_took >= 0:
            metrics.CONFIG_APPLY_SECONDS.observe(row.apply_took / 1000)


class Outages:
    """Which agents fail, how, and since when in ms of fleet time."""

    def __init__(self, session: Session) -> None:
        """Start with none."""
        self._session = session
        self._failing: dict[str, tuple[State, int]] = {}
        self._gone: dict[str, bytes] = {}  # the process of each agent that was found gone

    def observe(self, entry: FeedEntry) -> None:
        """Follow the changes of one record."""
        for change in entry.changes:
            if change.table == AGENTS:
                self._follow(change.key, change.row, entry.now)

    def _follow(self, agent_id: str, row: AgentRow | None, now: int) -> None:
        self._judge(agent_id, row)
        if row is None or row.membership is Membership.DEREGISTERED:
            self._failing.pop(agent_id, None)
        elif row.active and row.health is Health.HEALTHY:
            if (failing := self._failing.pop(agent_id, None)) is not None:
                metrics.RECOVERY_SECONDS.observe((now - failing[1]) / 1000)
        else:
            self._found(row, State(row.health) if row.active else State.GONE, now)

    def _judge(self, agent_id: str, row: AgentRow | None) -> None:
        """Tell whether an agent that was found gone was: the same process that comes back had been alive."""
        if row is not None and row.membership is Membership.GONE:
            self._gone[agent_id] = row.instance_id
        elif (instance_id := self._gone.pop(agent_id, None)) is not None:
            is_alive = row is not None and row.instance_id == instance_id
            metrics.GONE_VERDICTS.labels("wrong" if is_alive else "right").inc()

    def _found(self, row: AgentRow, state: State, now: int) -> None:
        known, since = self._failing.get(row.agent_id, (None, now))
        if state is known:
            return
        self._failing[row.agent_id] = (state, since)
        heard = max(row.enrolled_now, self._session.last_renewal(row.agent_id) or 0)
        metrics.DETECTION_SECONDS.labels(state.name.lower()).observe((now - heard) / 1000)

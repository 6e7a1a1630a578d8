"""Watches: changes of agents in order, without gaps, from a cursor on.

A watch with a filter also gives the change with which an agent stops matching, so that no reader keeps a stale one: of
agents that it may have seen, and of no others. That an agent was forgotten is not a change, because it was shown as
gone or deregistered before.

States are shown, and filtered by, as the present leader sees them: what an earlier leader recorded as HEALTHY is
UNCONFIRMED here until this leader has heard the agent, and so is whoever has not renewed since this leader was itself
stopped for a TTL. Neither changes a row, so it is not announced agent by agent: that would be the whole fleet at once,
for what the next interval settles. Each agent's return is announced. Nor does a heartbeat change a row: a filter over
the load is looked at when something else changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import cast

from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term
from tercio_common.rpc.watching import watched
from tercio_registry import metrics, translate
from tercio_registry.cursors import Position, decode_position, encode_position
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.filters import AgentFilter, Candidate
from tercio_registry.state.machine import AGENTS, RegistryMachine
from tercio_registry.state.views import State, shown_state, state_of, view

_LOOKS = 5_000
"""Agents that are looked at before others have a turn, by the cost of the filter: at worst some 30 ms."""


class Watching:
    """Serves WatchAgents."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def serve(self, request: pb.WatchAgentsRequest) -> AsyncIterator[pb.WatchAgentsResponse]:
        """Give every change after the request's cursor.

        Raises:
            Refusal: INVALID_ARGUMENT, CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
        """
        selected = translate.watch_filter(request)
        term = self._host.term
        term.check_may_release()  # a former leader would call cursors of its successor compacted
        position = decode_position(request.cursor) if request.cursor else Position(term.feed.committed)
        feed = term.feed.subscribe(position.seq)
        reader = _Reader(term, selected, position)
        await reader.look_at_all()
        with metrics.WATCHES.track_inprogress():
            async with aclosing(watched(term, feed, reader, clock=self._host.clock)) as messages:
                async for message in messages:
                    yield message


class _Reader:
    """What one watch has shown so far."""

    def __init__(self, term: Term, selected: AgentFilter, position: Position) -> None:
        self._term, self._selected = term, selected
        self.position = position
        self._present = list(cast(RegistryMachine, term.machine).agents.values())
        self._inside: set[str] = set()

    async def look_at_all(self) -> None:
        """Find the agents that the reader may believe to match: they did at the cursor, or changed since.

        As they were when the feed was subscribed to, so what changes meanwhile is among the entries that come.
        """
        step = max(1, _LOOKS // self._selected.cost)
        for first in range(0, len(self._present), step):
            for row in self._present[first : first + step]:
                if row.changed_seq > self.position.seq or self._matches(row) or self._matched(row):
                    self._inside.add(row.agent_id)
            await asyncio.sleep(0)
        self._present.clear()

    def messages(self, entries: list[FeedEntry]) -> Iterator[pb.WatchAgentsResponse]:
        for entry in entries:
            skip = self.position.offset if entry.seq == self.position.seq + 1 else 0
            last = len(entry.changes) - 1
            for index, change in enumerate(entry.changes):
                if index < skip:
                    continue
                self.position = Position(entry.seq - 1, index + 1) if index < last else Position(entry.seq)
                if change.table == AGENTS and self._is_to_be_shown(change.key, change.row):
                    yield self._message(change.row)

    @property
    def cursor(self) -> str:
        """Where to resume."""
        return encode_position(self.position)

    def bookmark(self, seq: int) -> pb.WatchAgentsResponse:
        """Return where to resume when everything up to `seq` was read."""
        self.position = max(self.position, Position(seq))
        return pb.WatchAgentsResponse(cursor=self.cursor)

    def _is_to_be_shown(self, agent_id: str, row: AgentRow | None) -> bool:
        if row is None:
            self._inside.discard(agent_id)
            return False
        if self._matches(row):
            self._inside.add(agent_id)
            return True
        was_inside = agent_id in self._inside
        self._inside.discard(agent_id)
        return was_inside

    def _matches(self, row: AgentRow) -> bool:
        return self._selects(row, shown_state(row, self._term.moment(), self._term.session))

    def _matched(self, row: AgentRow) -> bool:
        """Tell whether one that no longer does was shown as matching before the leader was stopped."""
        unheard = self._term.session.is_unheard(row, self._term.moment().now)
        return unheard and self._selects(row, state_of(row, self._term.epoch))

    def _selects(self, row: AgentRow, state: State) -> bool:
        active_attempts = self._term.session.active_attempts(row.agent_id)
        return self._selected.matches(Candidate(row, state, active_attempts))

    def _message(self, row: AgentRow) -> pb.WatchAgentsResponse:
        shown = view(row, self._term.moment(), self._term.session)
        return pb.WatchAgentsResponse(cursor=self.cursor, agent=translate.agent_message(shown))

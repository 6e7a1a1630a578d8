"""The writing half of the Work streams: acknowledgements, attempts and cancellations, many in a message."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio_common.errors import Refusal
from tercio_common.machine.term import Term
from tercio_scheduler.api.streams import ServedStream
from tercio_scheduler.state.commands import AgentOffers, AttemptKey
from tercio_scheduler.state.rows import TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.translate import work
from tercio_scheduler.translate.bounds import MAX_FRAME

_MAX_ASSIGNMENTS: Final = 500
"""Attempts in one message: a hundred cost as little each as a thousand, and leave room for others between them."""
_ATTEMPT_BYTES: Final = 64
"""What an attempt takes in a message beside its payload and checkpoint, about."""
_MAX_CANCELS: Final = 10_000
"""Cancellations that wait for a reader; an agent holds fewer attempts than that, so it does not read."""


class Report(NamedTuple):
    """What an agent may be told once record `seq` is durable: that its frame is kept, and what it must stop."""

    seq: int
    frame_number: int
    cancel: tuple[AttemptKey, ...]


class AgentStream(ServedStream[Report, work_pb2.WorkResponse]):
    """One agent's stream."""

    def __init__(
        self,
        term: Term,
        *,
        agent_id: str,
        instance_id: bytes,
        session_id: str,
        lease_ms: int,
        resource_lease_ms: int = 0,
    ) -> None:
        super().__init__(term)
        self.agent_id, self.instance_id, self.session_id = agent_id, instance_id, session_id
        self._epoch = work.epoch_message(term.epoch)
        self._first: work_pb2.WorkResponse | None = work_pb2.WorkResponse(
            epoch=self._epoch, attempt_lease_ms=lease_ms, resource_lease_ms=resource_lease_ms
        )
        self._acknowledged = 0
        self._renewal = 0
        self._offers: deque[tuple[TaskRow, int]] = deque()
        self._cancels: dict[AttemptKey, None] = {}
        self._recalls: dict[AttemptKey, None] = {}
        self.wake()

    def offer(self, rows: Sequence[TaskRow], numbers: Sequence[int]) -> None:
        """Send attempts; the agent's credit bounds how many can wait here."""
        self._offers.extend(zip(rows, numbers, strict=True))
        self.wake()

    def cancel(self, keys: Iterable[AttemptKey]) -> None:
        """Ask the agent to stop attempts; the decision is durable."""
        self._cancels.update(dict.fromkeys(keys))
        if len(self._cancels) > _MAX_CANCELS:
            self.finish(Refusal("READER_TOO_SLOW", "cancellations are not read; open a new stream"))
        self.wake()

    def confirm(self, renewal: int) -> None:
        """Tell the agent that its attempts with resources are renewed as well."""
        self._renewal = renewal
        self.wake()

    def recall(self, keys: Iterable[AttemptKey]) -> None:
        """Ask the agent to return attempts that it has not begun; its credit bounds how many can wait here."""
        self._recalls.update(dict.fromkeys(keys))
        self.wake()

    async def wait_for_room(self) -> None:
        # What the agent says meanwhile is not read, and the commits that are waited for may take longer than its lease.
        session: SchedulerSession = self.term.session
        link = session.agents.get(self.agent_id)
        if link is None or link.instance_id != self.instance_id:
            return await super().wait_for_room()
        link.unread = True
        try:
            await super().wait_for_room()
        finally:
            link.unread = False
            link.renewed_at = max(link.renewed_at, self.term.moment().now)

    def next_response(self) -> work_pb2.WorkResponse | None:
        response, self._first = self._first, None
        acknowledged = self._acknowledged
        for report in self.take_outstanding():
            acknowledged = max(acknowledged, report.frame_number)
            self._cancels.update(dict.fromkeys(report.cancel))
        if response is None:
            if acknowledged == self._acknowledged and not (
                self._cancels or self._recalls or self._offers or self._renewal
            ):
                return None
            response = work_pb2.WorkResponse(epoch=self._epoch)
        if acknowledged > self._acknowledged:
            self._acknowledged = response.committed_frame_number = acknowledged
        if self._renewal:
            response.confirmed_renewal, self._renewal = self._renewal, 0
        if cancels := self._take_known(self._cancels):
            response.cancelled.CopyFrom(work.columns_of(cancels))
        if recalls := self._take_known(self._recalls):
            response.recalled.CopyFrom(work.columns_of(recalls))
        if self._offers and not self.finished:
            response.assignments.CopyFrom(self._take_assignments())
        else:
            self._offers.clear()
        return response

    def farewell(self) -> work_pb2.WorkResponse:
        return work_pb2.WorkResponse(epoch=self._epoch, going_away=True)

    def _take_known(self, waiting: dict[AttemptKey, None]) -> list[AttemptKey]:
        """Take the next ones, but none of an attempt that the agent does not know yet: it would be lost."""
        if not waiting:
            return []
        unsent = {(row.task_id, number) for row, number in self._offers}
        known = (key for key in waiting if (key.task_id, key.number) not in unsent)
        keys = list(islice(known, _MAX_ASSIGNMENTS))
        for key in keys:
            del waiting[key]
        return keys

    def _take_assignments(self) -> work_pb2.Assignments:
        rows: list[TaskRow] = []
        numbers: list[int] = []
        room, offers = MAX_FRAME, self._offers
        while offers and len(rows) < _MAX_ASSIGNMENTS:
            row, number = offers[0]
            room -= len(row.spec.payload) + len(row.past.checkpoint) + len(row.task_id) + _ATTEMPT_BYTES
            if room < 0 and rows:
                break
            rows.append(row)
            numbers.append(number)
            offers.popleft()
        return work.assignments_of(rows, numbers)


class AgentStreams:
    """The open Work streams of one replica, one an agent."""

    def __init__(self) -> None:
        self._by_agent: dict[str, AgentStream] = {}

    def __len__(self) -> int:
        return len(self._by_agent)

    def enter(self, stream: AgentStream) -> None:
        """Take up an agent's stream; a former one of the same agent ends."""
        former = self._by_agent.get(stream.agent_id)
        self._by_agent[stream.agent_id] = stream
        if former is not None:
            former.finish(Refusal("STREAM_REPLACED", f"a newer stream of agent {stream.agent_id} has said hello"))

    def leave(self, stream: AgentStream) -> bool:
        """Drop a stream that closed; return whether it was the agent's latest."""
        if self._by_agent.get(stream.agent_id) is not stream:
            return False
        del self._by_agent[stream.agent_id]
        return True

    def deliver(self, offers: Iterable[AgentOffers]) -> None:
        """Hand attempts to their agents' streams. Without a stream they wait for the agent's next Hello, or its lease.

        The Hello does not list them, so they go back to their queue.
        """
        for agent_id, instance_id, rows, numbers in offers:
            stream = self._by_agent.get(agent_id)
            if stream is not None and stream.instance_id == instance_id:
                stream.offer(rows, numbers)

    def cut(self, agent_id: str) -> None:
        """End the stream of an agent that was silent for a whole lease; if it lives, it says hello again."""
        stream = self._by_agent.get(agent_id)
        if stream is not None:
            stream.finish(Refusal("AGENT_GONE", f"agent {agent_id} was silent for a whole lease; say hello again"))

    def cancel(self, agent_id: str, instance_id: bytes, key: AttemptKey) -> None:
        """Ask an agent to stop an attempt; one without a stream is told when it says hello."""
        stream = self._by_agent.get(agent_id)
        if stream is not None and stream.instance_id == instance_id:
            stream.cancel((key,))

    def recall(self, agent_id: str, instance_id: bytes, keys: Iterable[AttemptKey]) -> None:
        """Ask an agent to return attempts; one without a stream has nothing to be asked for."""
        stream = self._by_agent.get(agent_id)
        if stream is not None and stream.instance_id == instance_id:
            stream.recall(keys)

"""The heartbeat stream: beats in, answers and changes of duty out.

A renewal counts from the moment at which it was read, whatever becomes of its answer: reading never waits for the
store, so an outage of etcd costs no agent its lease. Answers wait until what they tell is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import cast

from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import SystemTaskOutcome
from tercio_common.machine.term import Term
from tercio_registry import metrics, translate
from tercio_registry.health_messages import vitals_of
from tercio_registry.performance_messages import totals_of
from tercio_registry.state import heartbeats
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.heartbeats import Answer
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.rules import Rules

_MOST_WAITING = 1_000
"""Messages of one stream that wait for a commit or for a slow reader: at one an interval, hours."""


class Link:
    """Every heartbeat stream of this replica."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.news = asyncio.Event()
        """Set when a heartbeat brings a transition that waits in the session."""
        self._streams: set[_Stream] = set()
        self._stream_of: dict[str, _Stream] = {}

    async def serve(
        self, requests: AsyncIterator[pb.HeartbeatRequest], term: Term
    ) -> AsyncIterator[pb.HeartbeatResponse]:
        """Answer each message in this term; between them, tell the agents of the stream what is asked of them.

        Raises:
            Refusal: INVALID_ARGUMENT, READER_TOO_SLOW, or the leadership ended.
        """
        stream = _Stream(term)
        self._streams.add(stream)
        metrics.HEARTBEAT_STREAMS.inc()
        reading = asyncio.create_task(self._read(requests, stream))
        try:
            async for response in stream.responses():
                yield response
        finally:
            self._streams.discard(stream)
            metrics.HEARTBEAT_STREAMS.dec()
            for agent_id in stream.told:
                self._forget(agent_id, stream)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def tell(self, agent_id: str, row: AgentRow | None) -> None:
        """Tell the agent, if a stream carries it, what has changed for it; the change is durable."""
        stream = self._stream_of.get(agent_id)
        if stream is None:
            return
        told = stream.told[agent_id]
        answer = heartbeats.answer_for(row, agent_id, told.incarnation)
        if answer != told:
            self._note(answer, stream)
            stream.send(self._response([answer], stream.term), seq=0)

    def note_canaries(self, outcomes: Iterable[SystemTaskOutcome], term: Term) -> None:
        """Take note of the canaries among these outcomes."""
        agents = cast(RegistryMachine, term.machine).agents
        session, now = term.session, term.moment().now
        for outcome in outcomes:
            answer = session.canaries.take_answer(outcome)
            if answer is not None:
                metrics.CANARY_ANSWERS.labels(outcome.result.name.lower()).inc()
                session.note_canary(agents.get(answer.agent_id), answer, now)
        if session.has_pending:
            self.news.set()

    def end(self, refusal: Refusal) -> None:
        """End every stream: the leadership ended."""
        for stream in self._streams:
            stream.finish(refusal)

    async def _read(self, requests: AsyncIterator[pb.HeartbeatRequest], stream: _Stream) -> None:
        try:
            async for request in requests:
                translate.check_beats(request)
                answers = self._receive(request, stream)
                stream.send(self._response(answers, stream.term), seq=stream.term.tip.seq)
        except Refusal as refusal:
            stream.finish(refusal)
        except Exception as error:
            stream.finish(error)
        else:
            stream.finish(None)

    def _receive(self, request: pb.HeartbeatRequest, stream: _Stream) -> list[Answer]:
        term = stream.term
        agents = cast(RegistryMachine, term.machine).agents
        session, now, epoch = term.session, term.moment().now, term.epoch
        answers = []
        for beat in request.beats:
            answer = heartbeats.receive(
                agents,
                beat.agent_id,
                beat.incarnation,
                session=session,
                now=now,
                epoch=epoch,
                active_attempts=beat.active_attempts,
                vitals=vitals_of(beat.health) if beat.HasField("health") else None,
            )
            self._note(answer, stream)
            answers.append(answer)
            if not answer.reason and beat.HasField("totals"):
                session.counting.count(agents[beat.agent_id], totals_of(beat.totals))
            _OUTCOMES[answer.reason].inc()
        if session.has_pending:
            self.news.set()
        return answers

    def _note(self, answer: Answer, stream: _Stream) -> None:
        """Remember what an agent was told, for as long as it is one of ours."""
        if not answer.reason:
            stream.told[answer.agent_id] = answer
            self._stream_of[answer.agent_id] = stream
        elif stream.told.pop(answer.agent_id, None) is not None:
            self._forget(answer.agent_id, stream)

    def _forget(self, agent_id: str, stream: _Stream) -> None:
        if self._stream_of.get(agent_id) is stream:
            del self._stream_of[agent_id]

    def _response(self, answers: list[Answer], term: Term) -> pb.HeartbeatResponse:
        interval = self._rules.interval_of(answers[0].agent_id if answers else "")
        return translate.answers_message(answers, interval=interval, ttl=self._rules.ttl, epoch=term.epoch)


class _Stream:
    """One stream, bound to the term in which it began."""

    def __init__(self, term: Term) -> None:
        self.term = term
        self.told: dict[str, Answer] = {}
        self._outbox: asyncio.Queue[tuple[pb.HeartbeatResponse, int] | Exception | None] = asyncio.Queue()
        self._finished = False

    def send(self, response: pb.HeartbeatResponse, *, seq: int) -> None:
        """Send once `seq` is durable; a stream that nobody reads ends instead."""
        if self._outbox.qsize() >= _MOST_WAITING:
            self.finish(Refusal("READER_TOO_SLOW", "answers to heartbeats are not read; open a new stream"))
        elif not self._finished:
            self._outbox.put_nowait((response, seq))

    def finish(self, error: Exception | None) -> None:
        """End the stream after what was sent."""
        if not self._finished:
            self._finished = True
            self._outbox.put_nowait(error)

    async def responses(self) -> AsyncIterator[pb.HeartbeatResponse]:
        while (item := await self._outbox.get()) is not None:
            if isinstance(item, Exception):
                raise item
            response, seq = item
            await self.term.committed(seq)
            yield response


_OUTCOMES = {
    "": metrics.HEARTBEATS.labels("renewed"),
    heartbeats.NOT_FOUND: metrics.HEARTBEATS.labels("not_found"),
    heartbeats.REPLACED: metrics.HEARTBEATS.labels("replaced"),
    heartbeats.GONE: metrics.HEARTBEATS.labels("gone"),
}

"""SubmitStream: columns of tasks in, acknowledgements and results back.

A frame is acknowledged once it is durable, also when it came a second time. Results are found in the feed: of the tasks
that this stream submitted, and of those that it was asked to follow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, cast

import grpc

from tercio.api.scheduler.v1 import task_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term
from tercio_common.rpc.calls import call_of, call_of_frame
from tercio_scheduler import metrics
from tercio_scheduler.api.streams import OpenStreams, ServedStream, refuse_when_durable
from tercio_scheduler.state.commands import RefusedTask, Submit, Submitted
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.rows import TERMINAL, TaskRow
from tercio_scheduler.translate import results, submissions
from tercio_scheduler.translate.bounds import MAX_FRAME

Context = grpc.aio.ServicerContext[Any, Any]
_MAX_RESULTS: Final = 1000
_RESULT_BYTES: Final = 64
"""What a result takes in a message beside its bytes, about."""
_SUBMISSIONS: Final = metrics.STREAMS.labels("submit")


class Answer(NamedTuple):
    """What a client may be told once record `seq` is durable."""

    seq: int
    frame_number: int
    refused: Sequence[RefusedTask] = ()
    ended: Sequence[TaskRow] = ()


class SubmissionStream(ServedStream[Answer, pb.SubmitStreamResponse]):
    """The writing half of one stream."""

    def __init__(self, term: Term) -> None:
        super().__init__(term)
        self.session_id = ""
        self.following: set[str] = set()
        self._feed = term.feed.subscribe(None)
        self._ended: deque[TaskRow] = deque()
        self._acknowledged = 0
        self._half_closed = False

    def committed(self) -> None:
        self.wake()  # also when nothing is followed, so that the place in the feed does not fall behind

    def close_when_done(self) -> None:
        """End the stream once every followed task has ended: the client has nothing more to say."""
        self._half_closed = True
        self.wake()

    def is_over(self) -> bool:
        done = self._half_closed and not self.outstanding and not self.following and not self._ended
        return done or super().is_over()

    def next_response(self) -> pb.SubmitStreamResponse | None:
        refused: list[RefusedTask] = []
        acknowledged = self._acknowledged
        for answer in self.take_outstanding():
            acknowledged = max(acknowledged, answer.frame_number)
            refused += answer.refused
            self._note_ends(answer.ended)
        self._read_feed()
        if acknowledged == self._acknowledged and not refused and not self._ended:
            return None
        response = pb.SubmitStreamResponse(refusals=map(results.refusal_of, refused))
        if acknowledged > self._acknowledged:
            self._acknowledged = response.committed_frame_number = acknowledged
        if self._ended:
            response.results.CopyFrom(results.results_of(self._take_ended()))
        return response

    def _read_feed(self) -> None:
        """Find results among the latest changes; while some are still to be sent, the rest stays in the feed."""
        following = self.following
        while not self._ended and (entries := self._feed.pending()):
            if not following:
                continue
            for entry in entries:
                changed = entry.changes.rows("tasks")
                self._note_ends([row for key, row in changed.items() if key in following and row is not None])

    def _note_ends(self, rows: Iterable[TaskRow]) -> None:
        """Send each result once, whether it was found in the feed or in the state."""
        for row in rows:
            if row.state in TERMINAL and row.task_id in self.following:
                self.following.discard(row.task_id)
                self._ended.append(row)

    def _take_ended(self) -> list[TaskRow]:
        rows: list[TaskRow] = []
        room, ended = MAX_FRAME, self._ended
        while ended and len(rows) < _MAX_RESULTS:
            row = ended[0]
            room -= len(row.result) + len(row.task_id) + len(row.why.message) + _RESULT_BYTES
            if room < 0 and rows:
                break
            rows.append(ended.popleft())
        return rows


class Submissions:
    """Serves SubmitStream."""

    def __init__(self, host: Host, *, streams: OpenStreams) -> None:
        self._host = host
        self._streams = streams

    async def serve(
        self, requests: AsyncIterator[pb.SubmitStreamRequest], context: Context
    ) -> AsyncIterator[pb.SubmitStreamResponse]:
        """Take frames and give what comes of them.

        Raises:
            Refusal: see the contract, or the leadership ended.
        """
        stream = SubmissionStream(self._host.term)
        self._streams.add(stream)
        _SUBMISSIONS.inc()
        reading = asyncio.create_task(self._read(requests, stream, context))
        try:
            async with contextlib.aclosing(stream.responses()) as responses:  # type: ignore[type-var]
                async for response in responses:
                    yield response
        finally:
            stream.finish(None)
            self._streams.remove(stream)
            _SUBMISSIONS.dec()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(
        self, requests: AsyncIterator[pb.SubmitStreamRequest], stream: SubmissionStream, context: Context
    ) -> None:
        try:
            async for request in requests:
                if stream.finished:
                    return
                await self._take(request, stream, context)
        except Exception as error:
            stream.finish(error)
        else:
            stream.close_when_done()

    async def _take(self, request: pb.SubmitStreamRequest, stream: SubmissionStream, context: Context) -> None:
        submissions.check_stream_request(request, session_id=stream.session_id)
        stream.session_id = request.session_id
        if request.HasField("frame"):
            await self._submit(request, stream, context)
        if request.follow_task_ids:
            refused, ended = _look(stream, request.follow_task_ids)
            await stream.add_outstanding(Answer(stream.term.tip.seq, 0, refused, ended))
        stream.committed()

    async def _submit(self, request: pb.SubmitStreamRequest, stream: SubmissionStream, context: Context) -> None:
        term, number = stream.term, request.frame_number
        command = submissions.submit_of_frame(request.frame)
        try:
            proposal = term.propose(command, call=call_of_frame(session_id=stream.session_id, frame_number=number))
            if proposal.duplicate:
                refused, ended = _judge_again(stream, command, call=call_of(request, context))
            else:
                refused, ended = _taken(stream, command, proposal.reply)
        except Refusal as refusal:
            raise await refuse_when_durable(term, refusal) from None
        await stream.add_outstanding(Answer(proposal.seq, number, refused, ended))


def _taken(
    stream: SubmissionStream, command: Submit, reply: Submitted
) -> tuple[Sequence[RefusedTask], Sequence[TaskRow]]:
    task_ids = command.columns.task_ids
    stream.following.update(task_ids)
    stream.following.difference_update([one.task_id for one in reply.refused])
    count, known, refused = len(task_ids), reply.known, len(reply.refused)
    metrics.count_submitted(accepted=count - known - refused, known=known, refused=refused)
    # Tasks that were there before may have ended before.
    return reply.refused, _ended_of(stream, task_ids) if known else ()


def _judge_again(
    stream: SubmissionStream, command: Submit, *, call: Call
) -> tuple[Sequence[RefusedTask], Sequence[TaskRow]]:
    """Answer a frame that was recorded before: the answer that was given then may never have arrived."""
    reply: Submitted = stream.term.propose(replace(command, validate_only=True), call=call).reply
    refused_ids = {one.task_id for one in reply.refused}
    lost, ended = _look(stream, [id_ for id_ in command.columns.task_ids if id_ not in refused_ids])
    return (*reply.refused, *lost), ended


def _look(stream: SubmissionStream, task_ids: Iterable[str]) -> tuple[Sequence[RefusedTask], Sequence[TaskRow]]:
    """Follow tasks from now on; return those that are not known, and those that have ended already."""
    get = cast(SchedulerMachine, stream.term.machine).tables.tasks.get
    known: list[str] = []
    lost: list[RefusedTask] = []
    for place, task_id in enumerate(task_ids):
        if get(task_id) is not None:
            known.append(task_id)
        else:
            message = "no task with this id is kept: it was refused, or it ended long ago"
            lost.append(RefusedTask(place, task_id, "TASK_NOT_FOUND", message))
    stream.following.update(known)
    return lost, _ended_of(stream, known)


def _ended_of(stream: SubmissionStream, task_ids: Iterable[str]) -> Sequence[TaskRow]:
    get = cast(SchedulerMachine, stream.term.machine).tables.tasks.get
    return [row for task_id in task_ids if (row := get(task_id)) is not None and row.state in TERMINAL]

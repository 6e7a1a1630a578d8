"""WorkService: the agent's link. Frames are proposed as they are read; `AgentStream` writes what comes of them.

A message of any kind renews the agent's lease, unless the registry found it deaf. Credit, progress and draining only
touch the session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.api.scheduler.v1 import work_service_pb2_grpc as rpc
from tercio_common.errors import Refusal
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.rpc.calls import call_of, call_of_frame
from tercio_scheduler import metrics
from tercio_scheduler.api.agent_streams import AgentStream, AgentStreams, Report
from tercio_scheduler.api.streams import OpenStreams, refuse_when_durable
from tercio_scheduler.effects.dispatch import Dispatcher
from tercio_scheduler.frames import attempt_columns
from tercio_scheduler.settings import SchedulerSettings
from tercio_scheduler.state.admission import holds_from
from tercio_scheduler.state.commands import Attached, AttemptKey, Reported, ReportWork
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.reports import is_present
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.translate import work

Context = grpc.aio.ServicerContext[Any, Any]


class WorkServicer(rpc.WorkServiceServicer):
    """See the contract."""

    def __init__(
        self,
        host: Host,
        *,
        streams: OpenStreams,
        agents: AgentStreams,
        dispatcher: Dispatcher,
        settings: SchedulerSettings,
    ) -> None:
        self._host = host
        self._streams, self._agents, self._dispatcher = streams, agents, dispatcher
        self._settings = settings

    async def Work(
        self, request_iterator: AsyncIterator[work_pb2.WorkRequest], context: Context
    ) -> AsyncIterator[work_pb2.WorkResponse]:
        requests = aiter(request_iterator)
        first = await anext(requests, work_pb2.WorkRequest())
        stream = self._attach(first, call=call_of(first, context))
        reading = asyncio.create_task(self._read(first, requests, stream))
        try:
            async with contextlib.aclosing(stream.responses()) as responses:  # type: ignore[type-var]
                async for response in responses:
                    yield response
        finally:
            self._close(stream)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _attach(self, first: work_pb2.WorkRequest, *, call: Call) -> AgentStream:
        introduction = work.introduction_of(first)
        work.check_request(first, first=True)
        term, attach = self._host.term, introduction.attach
        # It refuses nothing by itself, so what a refusal says depends on no decision.
        proposal = term.propose(attach, call=call)
        while proposal.reply.more:
            proposal = term.propose(attach, call=call)
        session: SchedulerSession = term.session
        session.attach(
            attach.agent_id,
            instance_id=attach.instance_id,
            capabilities=introduction.capabilities,
            concurrency=introduction.concurrency,
            now=term.moment().now,
            task_types=introduction.task_types,
            draining=introduction.draining,
        )
        # Before the first offers, which may leave before this message is looked at again.
        session.set_credit(attach.agent_id, credit=first.credit)
        stream = AgentStream(
            term,
            agent_id=attach.agent_id,
            instance_id=attach.instance_id,
            # A process that took its session from a former one would have its reports dropped as known.
            session_id=f"{introduction.session_id}.{attach.instance_id.hex()}",
            lease_ms=self._settings.attempt_lease_ms,
            resource_lease_ms=self._settings.granted_lease_ms,
        )
        reply: Attached = proposal.reply
        if reply.cancel:
            stream.outstanding.append(Report(proposal.seq, 0, reply.cancel))
        self._agents.enter(stream)
        self._streams.add(stream)
        metrics.AGENTS.set(len(self._agents))
        self._dispatcher.poke()
        return stream

    def _close(self, stream: AgentStream) -> None:
        stream.finish(None)
        self._streams.remove(stream)
        if self._agents.leave(stream):
            session: SchedulerSession = stream.term.session
            session.detach(stream.agent_id, instance_id=stream.instance_id)
        metrics.AGENTS.set(len(self._agents))

    async def _read(
        self, first: work_pb2.WorkRequest, requests: AsyncIterator[work_pb2.WorkRequest], stream: AgentStream
    ) -> None:
        try:
            await self._take(first, stream)
            async for request in requests:
                if stream.finished:
                    return
                work.check_request(request, first=False)
                await self._take(request, stream)
        except Exception as error:
            stream.finish(error)
        else:
            stream.finish(None)

    async def _take(self, request: work_pb2.WorkRequest, stream: AgentStream) -> None:
        term, agent_id = stream.term, stream.agent_id
        session: SchedulerSession = term.session
        now = term.moment().now
        heard = session.hear(agent_id, now=now)
        if request.renewal_number and heard and self._are_renewed(stream, now=now):
            stream.confirm(request.renewal_number)
        if request.draining:
            session.set_draining(agent_id)
        if request.credit:
            session.set_credit(agent_id, credit=request.credit)
            self._dispatcher.poke()
        if request.HasField("progress"):
            _note_progress(request.progress, stream)
        if request.HasField("frame"):
            await self._report(request, stream)

    def _are_renewed(self, stream: AgentStream, *, now: int) -> bool:
        """Tell whether what the agent's attempts hold is renewed; who granted nothing to them may be silent."""
        session: SchedulerSession = stream.term.session
        tables = cast(SchedulerMachine, stream.term.machine).tables
        renewed_at = session.grants_renewed_at(holds_from(tables, stream.agent_id))
        return now - renewed_at < 2 * self._settings.grant_renewal_ms

    async def _report(self, request: work_pb2.WorkRequest, stream: AgentStream) -> None:
        term, number = stream.term, request.frame_number
        command = work.report_of(request.frame, agent_id=stream.agent_id, instance_id=stream.instance_id)
        call = call_of_frame(session_id=stream.session_id, frame_number=number)
        try:
            proposal = term.propose(command, call=call)
        except Refusal as refusal:
            raise await refuse_when_durable(term, refusal) from None
        cancel: tuple[AttemptKey, ...] = ()
        if not proposal.duplicate:
            cancel = _still_running(command, proposal.reply)
            metrics.count_report(command.columns, proposal.reply.stale)
        await stream.add_outstanding(Report(proposal.seq, number, cancel))
        if proposal.seq <= term.committer.committed:
            stream.wake()


def _still_running(command: ReportWork, reply: Reported) -> tuple[AttemptKey, ...]:
    """Return the attempts that the agent began although they are not its own any more, and that have not ended."""
    if not reply.stale:
        return ()
    started, ended = command.columns.started, command.columns.ended
    began = {AttemptKey(id_, started.epoch(at), started.numbers[at]) for at, id_ in enumerate(started.task_ids)}
    over = {AttemptKey(id_, ended.epoch(at), ended.numbers[at]) for at, id_ in enumerate(ended.task_ids)}
    return tuple([key for key in reply.stale if key in began and key not in over])


def _note_progress(progress: work_pb2.ProgressFrame, stream: AgentStream) -> None:
    """Keep the progress of attempts that are the agent's; it is never recorded."""
    session: SchedulerSession = stream.term.session
    tasks = cast(SchedulerMachine, stream.term.machine).tables.tasks
    columns = attempt_columns(progress.attempts)
    for index, task_id in enumerate(columns.task_ids):
        key = AttemptKey(task_id, columns.epoch(index), columns.numbers[index])
        if is_present(tasks.get(task_id), agent_id=stream.agent_id, instance_id=stream.instance_id, key=key):
            session.set_progress(task_id, percent=progress.percents[index])

"""ConflictService: thin. Watches are served by `watching_conflicts`, waiting for an end by `ending`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from operator import attrgetter
from typing import Any

import grpc

from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio.api.conflicts.v1 import conflict_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page, encode_seq
from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc import system_tasks
from tercio_common.rpc.calls import call_of
from tercio_conflicts.api.ending import Endings
from tercio_conflicts.api.watching_conflicts import watch_actions, watch_conflicts
from tercio_conflicts.effects.attend import Attending
from tercio_conflicts.state import conflicts, patterns
from tercio_conflicts.state.dispute_commands import ReportSystemTasks
from tercio_conflicts.state.dispute_rows import ConflictRow
from tercio_conflicts.state.dispute_tables import CONFLICTS, PATTERNS
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.situating import situation
from tercio_conflicts.translate import conflicts as to_conflicts
from tercio_conflicts.translate import work as to_work

Context = grpc.aio.ServicerContext[Any, Any]


class ConflictServicer(rpc.ConflictServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host, *, attending: Attending, endings: Endings) -> None:
        self._host, self._attending, self._endings = host, attending, endings

    async def ReportConflict(self, request: pb.ReportConflictRequest, context: Context) -> Any:
        reported, call = to_conflicts.reported_of(request), call_of(request, context)

        def render(row: ConflictRow) -> bytes:
            return pb.ReportConflictResponse(conflict=self._shown(row)).SerializeToString()

        reply = await self._host.execute(reported.command, call=call, render=render)
        self._attending.look()
        if not reported.wait:
            return reply
        conflict_id = pb.ReportConflictResponse.FromString(reply).conflict.conflict_id
        row = await self._endings.of(conflict_id, wait=reported.wait, time_left=context.time_remaining())
        return pb.ReportConflictResponse(conflict=self._shown(row))

    async def CheckConflicts(self, request: pb.CheckConflictsRequest, context: Context) -> pb.CheckConflictsResponse:
        work = to_work.checked_of(request)

        def look(machine: ConflictsMachine, session: Session, at: Moment) -> pb.CheckConflictsResponse:
            now = situation(machine.tables, session, at)
            then = replace(now, work=(*now.work, *work))
            before, _ = machine.disputes.findings(now)
            after, _ = machine.disputes.findings(then)
            rows = [
                conflicts.raised(finding, None, at, then)
                for conflict_id, finding in sorted(after.items())
                if conflict_id not in before or finding.tasks != before[conflict_id].tasks
            ]
            return pb.CheckConflictsResponse(conflicts=[_message(row, machine, at) for row in rows])

        return await self._host.read(look)

    async def GetConflict(self, request: pb.GetConflictRequest, context: Context) -> pb.GetConflictResponse:
        def look(machine: ConflictsMachine, _session: Session, at: Moment) -> pb.GetConflictResponse:
            row = conflicts.present(request.conflict_id, machine.tables.disputes.conflicts)
            return pb.GetConflictResponse(conflict=_message(row, machine, at))

        return await self._host.read(look)

    async def ListConflicts(self, request: pb.ListConflictsRequest, context: Context) -> pb.ListConflictsResponse:
        size, selected = to_conflicts.listing_of(request)
        after = decode_page(CONFLICTS, request.page_token, request.expression)

        def look(machine: ConflictsMachine, _session: Session, at: Moment) -> pb.ListConflictsResponse:
            rows = machine.tables.disputes.conflicts.values()
            found, more = page(rows, key=attrgetter("conflict_id"), after=after, size=size, selects=selected.matches)
            return pb.ListConflictsResponse(
                conflicts=[_message(row, machine, at) for row in found],
                next_page_token=encode_page(CONFLICTS, found[-1].conflict_id, request.expression) if more else "",
                # The state that is read has every record before the next one.
                cursor="" if request.page_token else encode_seq(CONFLICTS, at.seq - 1),
            )

        return await self._host.read(look)

    def WatchConflicts(
        self, request: pb.WatchConflictsRequest, context: Context
    ) -> AsyncIterator[pb.WatchConflictsResponse]:
        return watch_conflicts(self._host, request.cursor, to_conflicts.watch_filter(request), _message)

    async def ResolveConflict(self, request: pb.ResolveConflictRequest, context: Context) -> Any:
        command, call = to_conflicts.resolve_command(request), call_of(request, context)

        def render(row: ConflictRow) -> bytes:
            return pb.ResolveConflictResponse(conflict=self._shown(row)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def EscalateConflict(self, request: pb.EscalateConflictRequest, context: Context) -> Any:
        command, call = to_conflicts.escalate_command(request), call_of(request, context)

        def render(row: ConflictRow) -> bytes:
            return pb.EscalateConflictResponse(conflict=self._shown(row)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def ListPatterns(self, request: pb.ListPatternsRequest, context: Context) -> pb.ListPatternsResponse:
        size, after = (
            to_conflicts.patterns_size(request),
            decode_page(PATTERNS, request.page_token, request.conflict_id),
        )

        def look(machine: ConflictsMachine, _session: Session, _at: Moment) -> pb.ListPatternsResponse:
            tables = machine.tables.disputes
            of = conflicts.present(request.conflict_id, tables.conflicts) if request.conflict_id else None
            rows = [row for row in tables.patterns.values() if of is None or row.type == of.type]
            found, more = page(rows, key=patterns.page_key, after=after, size=size, selects=lambda _: True)
            features = patterns.features_of(of) if of else None
            return pb.ListPatternsResponse(
                patterns=[to_conflicts.pattern_message(row, features) for row in found],
                next_page_token=encode_page(PATTERNS, patterns.page_key(found[-1]), request.conflict_id)
                if more
                else "",
            )

        return await self._host.read(look)

    async def ReportWork(self, request: pb.ReportWorkRequest, context: Context) -> pb.ReportWorkResponse:
        told = to_work.told_of(request)

        def look(_machine: ConflictsMachine, session: Session, at: Moment) -> pb.ReportWorkResponse:
            if len(told.work) > session.board.room(told.reporter):
                raise Refusal("QUEUE_FULL", "too much work is reported by all together; report what matters most")
            session.board.tell(told.reporter, told.work, told.capacities, now=at.now)
            return pb.ReportWorkResponse()

        response = await self._host.read(look)
        self._attending.look()
        return response

    def WatchActions(self, request: pb.WatchActionsRequest, context: Context) -> AsyncIterator[pb.WatchActionsResponse]:
        return watch_actions(self._host, request.cursor)

    async def ReportActions(self, request: pb.ReportActionsRequest, context: Context) -> Any:
        command, call = to_conflicts.report_actions_command(request), call_of(request, context)

        def render(unknown: tuple[str, ...]) -> bytes:
            return pb.ReportActionsResponse(unknown_action_ids=unknown).SerializeToString()

        reply = await self._host.execute(command, call=call, render=render)
        self._attending.look()
        return reply

    async def WatchSystemTasks(
        self, request: pb.WatchSystemTasksRequest, context: Context
    ) -> AsyncIterator[pb.WatchSystemTasksResponse]:
        async with aclosing(system_tasks.watch(self._host, request.cursor)) as watch:
            async for cursor, system_task in watch:
                yield pb.WatchSystemTasksResponse(cursor=cursor, system_task=system_task)

    async def ReportSystemTasks(self, request: pb.ReportSystemTasksRequest, context: Context) -> Any:
        command = ReportSystemTasks(system_tasks.outcomes_of(request.outcomes))

        def render(unknown: tuple[str, ...]) -> bytes:
            return pb.ReportSystemTasksResponse(unknown_system_task_ids=unknown).SerializeToString()

        reply = await self._host.execute(command, call=call_of(request, context), render=render)
        self._attending.look()
        return reply

    def _shown(self, row: ConflictRow) -> conflict_pb2.Conflict:
        term = self._host.term
        machine: ConflictsMachine = term.machine  # type: ignore[assignment]
        return _message(row, machine, term.moment())


def _message(row: ConflictRow, machine: ConflictsMachine, at: Moment) -> conflict_pb2.Conflict:
    return to_conflicts.conflict_message(row, at, machine.tables.disputes.decisions.get)

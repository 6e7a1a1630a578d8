"""DecisionService: thin."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import grpc

from tercio.api.conflicts.v1 import decision_service_pb2 as pb
from tercio.api.conflicts.v1 import decision_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_conflicts.effects.attend import Attending
from tercio_conflicts.state import decisions
from tercio_conflicts.state.dispute_tables import DECISIONS, FAMILIES, PRECEDENTS
from tercio_conflicts.state.disputes import Posted
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.session import Session
from tercio_conflicts.translate import decisions as to_decisions

Context = grpc.aio.ServicerContext[Any, Any]
_MOST_TOLD = 100


class DecisionServicer(rpc.DecisionServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host, *, attending: Attending) -> None:
        self._host, self._attending = host, attending

    async def PostDecisions(self, request: pb.PostDecisionsRequest, context: Context) -> Any:
        command, call = to_decisions.post_command(request), call_of(request, context)
        reply = await self._host.execute(command, call=call, render=_render_posted)
        self._attending.look()
        return reply

    async def WithdrawDecision(self, request: pb.WithdrawDecisionRequest, context: Context) -> Any:
        command, call = to_decisions.withdraw_command(request), call_of(request, context)
        reply = await self._host.execute(command, call=call, render=lambda _: b"")
        self._attending.look()
        return reply

    async def GetDecision(self, request: pb.GetDecisionRequest, context: Context) -> pb.GetDecisionResponse:
        def look(machine: ConflictsMachine, _session: Session, _at: Moment) -> pb.GetDecisionResponse:
            row = decisions.present(request.decision_id, machine.tables.disputes.decisions)
            return pb.GetDecisionResponse(decision=to_decisions.decision_message(row))

        return await self._host.read(look)

    async def ListDecisions(self, request: pb.ListDecisionsRequest, context: Context) -> pb.ListDecisionsResponse:
        size, selected = to_decisions.listing_of(request)
        after = int(decode_page(DECISIONS, request.page_token, request.expression) or 0)

        def look(machine: ConflictsMachine, _session: Session, _at: Moment) -> pb.ListDecisionsResponse:
            rows = machine.tables.disputes.decisions.values()
            found, more = page(rows, key=attrgetter("number"), after=after, size=size, selects=selected.matches)
            return pb.ListDecisionsResponse(
                decisions=map(to_decisions.decision_message, found),
                next_page_token=encode_page(DECISIONS, str(found[-1].number), request.expression) if more else "",
            )

        return await self._host.read(look)

    async def CheckDecision(self, request: pb.CheckDecisionRequest, context: Context) -> pb.CheckDecisionResponse:
        row = to_decisions.checked_decision(request)

        def look(machine: ConflictsMachine, _session: Session, _at: Moment) -> pb.CheckDecisionResponse:
            found = machine.tables.disputes.disagreements.like(row)
            return pb.CheckDecisionResponse(contradictions=to_decisions.contradiction_messages(found[:_MOST_TOLD]))

        return await self._host.read(look)

    async def SetFamily(self, request: pb.SetFamilyRequest, context: Context) -> Any:
        command, call = to_decisions.set_family_command(request), call_of(request, context)
        reply = await self._host.execute(
            command,
            call=call,
            render=lambda row: pb.SetFamilyResponse(family=to_decisions.family_message(row)).SerializeToString(),
        )
        self._attending.look()
        return reply

    async def DeleteFamily(self, request: pb.DeleteFamilyRequest, context: Context) -> Any:
        command, call = to_decisions.delete_family_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def ListFamilies(self, request: pb.ListFamiliesRequest, context: Context) -> pb.ListFamiliesResponse:
        size, after = to_decisions.page_size(request), decode_page(FAMILIES, request.page_token)

        def look(machine: ConflictsMachine, _session: Session, _at: Moment) -> pb.ListFamiliesResponse:
            rows = machine.tables.disputes.families.values()
            found, more = page(rows, key=attrgetter("name"), after=after, size=size, selects=lambda _: True)
            return pb.ListFamiliesResponse(
                families=map(to_decisions.family_message, found),
                next_page_token=encode_page(FAMILIES, found[-1].name) if more else "",
            )

        return await self._host.read(look)

    async def SetPrecedent(self, request: pb.SetPrecedentRequest, context: Context) -> Any:
        command, call = to_decisions.set_precedent_command(request), call_of(request, context)

        def render(row: Any) -> bytes:
            return pb.SetPrecedentResponse(precedent=to_decisions.precedent_message(row)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def DeletePrecedent(self, request: pb.DeletePrecedentRequest, context: Context) -> Any:
        command, call = to_decisions.delete_precedent_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def ListPrecedents(self, request: pb.ListPrecedentsRequest, context: Context) -> pb.ListPrecedentsResponse:
        size, after = to_decisions.page_size(request), decode_page(PRECEDENTS, request.page_token)

        def look(machine: ConflictsMachine, _session: Session, _at: Moment) -> pb.ListPrecedentsResponse:
            rows = machine.tables.disputes.precedents.values()
            found, more = page(rows, key=attrgetter("precedent_id"), after=after, size=size, selects=lambda _: True)
            return pb.ListPrecedentsResponse(
                precedents=map(to_decisions.precedent_message, found),
                next_page_token=encode_page(PRECEDENTS, found[-1].precedent_id) if more else "",
            )

        return await self._host.read(look)


def _render_posted(posted: Posted) -> bytes:
    return pb.PostDecisionsResponse(
        decision_ids=posted.numbers,
        contradictions=to_decisions.contradiction_messages(posted.disagreements[:_MOST_TOLD]),
    ).SerializeToString()

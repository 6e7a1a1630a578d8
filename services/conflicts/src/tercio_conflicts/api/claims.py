"""ClaimService: thin. AcquireClaims is served by `acquiring`, the watch by `watching`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice
from operator import attrgetter
from typing import Any, cast

import grpc

from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.api.conflicts.v1 import claim_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page, encode_seq
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_common.rpc.fields import epoch_message
from tercio_conflicts.api.acquiring import Acquiring
from tercio_conflicts.api.watching import watch_claims
from tercio_conflicts.state import claims
from tercio_conflicts.state.effort import Effort
from tercio_conflicts.state.grants import MOST_NAMED, Ledger
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.tables import CLAIMS
from tercio_conflicts.state.things import Thing
from tercio_conflicts.state.tokens import verdict
from tercio_conflicts.state.views import view
from tercio_conflicts.state.waiting import fresh_place
from tercio_conflicts.translate import claims as to_claims

Context = grpc.aio.ServicerContext[Any, Any]


class ClaimServicer(rpc.ClaimServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host, *, acquiring: Acquiring) -> None:
        self._host, self._acquiring = host, acquiring

    async def AcquireClaims(self, request: pb.AcquireClaimsRequest, context: Context) -> Any:
        asked, call = to_claims.asked_of(request), call_of(request, context)
        return await self._acquiring.serve(asked, call, self._host.term, time_left=context.time_remaining())

    async def RenewClaims(self, request: pb.RenewClaimsRequest, context: Context) -> pb.RenewClaimsResponse:
        owners = to_claims.owners_of(request)

        def look(machine: ConflictsMachine, session: Session, at: Moment) -> pb.RenewClaimsResponse:
            session.renew(owners, at.now)
            unknown = machine.tables.holdings.unknown(owners)
            return pb.RenewClaimsResponse(unknown_owners=unknown, epoch=epoch_message(at.epoch))

        return await self._host.read(look)

    async def ReleaseClaims(self, request: pb.ReleaseClaimsRequest, context: Context) -> Any:
        command, call = to_claims.release_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=_render_released)

    async def TransferClaims(self, request: pb.TransferClaimsRequest, context: Context) -> Any:
        command, call = to_claims.transfer_command(request), call_of(request, context)

        def render(rows: list[ClaimRow]) -> bytes:
            return pb.TransferClaimsResponse(claims=self._shown(rows)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def RequestRelease(self, request: pb.RequestReleaseRequest, context: Context) -> Any:
        command, call = to_claims.request_release_command(request), call_of(request, context)

        def render(rows: list[ClaimRow]) -> bytes:
            return pb.RequestReleaseResponse(claims=self._shown(rows)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def CheckClaims(self, request: pb.CheckClaimsRequest, context: Context) -> pb.CheckClaimsResponse:
        items, priority = to_claims.check_of(request)

        def look(machine: ConflictsMachine, session: Session, at: Moment) -> pb.CheckClaimsResponse:
            place, effort = fresh_place(priority), Effort()
            ledger = Ledger(machine.tables, session, machine.rules, place=place, now=at.now, effort=effort)
            response = pb.CheckClaimsResponse()
            for index, item in enumerate(items):
                if found := list(islice(ledger.blockers(item), MOST_NAMED)):
                    response.blocked.add(index=index, blockers=to_claims.blocker_messages(found))
            return response

        return await self._host.read(look)

    async def CheckTokens(self, request: pb.CheckTokensRequest, context: Context) -> pb.CheckTokensResponse:
        checks = to_claims.token_checks_of(request)

        def look(machine: ConflictsMachine, _session: Session, _at: Moment) -> pb.CheckTokensResponse:
            verdicts = [verdict(check, machine.tables.claims) for check in checks]
            return pb.CheckTokensResponse(
                verdicts=[cast("pb.CheckTokensResponse.Verdict.ValueType", int(each)) for each in verdicts]
            )

        return await self._host.read(look)

    async def GetClaim(self, request: pb.GetClaimRequest, context: Context) -> pb.GetClaimResponse:
        def look(machine: ConflictsMachine, session: Session, at: Moment) -> pb.GetClaimResponse:
            row = claims.present(request.claim_id, machine.tables.claims)
            return pb.GetClaimResponse(claim=to_claims.claim_message(view(row, at, session)))

        return await self._host.read(look)

    async def ListClaims(self, request: pb.ListClaimsRequest, context: Context) -> pb.ListClaimsResponse:
        listing = to_claims.listing_of(request)
        which = f"{request.expression}\n{listing.overlapping or ''}"
        after = int(decode_page(CLAIMS, request.page_token, which) or 0)

        def look(machine: ConflictsMachine, session: Session, at: Moment) -> pb.ListClaimsResponse:
            rows = _rows(machine, listing.overlapping)
            found, more = page(
                rows, key=attrgetter("number"), after=after, size=listing.size, selects=listing.selected.matches
            )
            return pb.ListClaimsResponse(
                claims=[to_claims.claim_message(view(row, at, session)) for row in found],
                next_page_token=encode_page(CLAIMS, str(found[-1].number), which) if more else "",
                # The state that is read has every record before the next one.
                cursor="" if request.page_token else encode_seq(CLAIMS, at.seq - 1),
            )

        return await self._host.read(look)

    def WatchClaims(self, request: pb.WatchClaimsRequest, context: Context) -> AsyncIterator[pb.WatchClaimsResponse]:
        return watch_claims(self._host, request.cursor, to_claims.watch_filter(request))

    def _shown(self, rows: Iterable[ClaimRow]) -> list[Any]:
        term = self._host.term
        at = term.moment()
        return [to_claims.claim_message(view(row, at, term.session)) for row in rows]


def _rows(machine: ConflictsMachine, overlapping: Thing | None) -> Iterable[ClaimRow]:
    tables = machine.tables
    if overlapping is None:
        return tables.claims.values()
    return map(tables.claims.__getitem__, tables.holdings.on(overlapping))


def _render_released(released: claims.Released) -> bytes:
    return pb.ReleaseClaimsResponse(
        released_count=released.released, unknown_claim_ids=released.unknown
    ).SerializeToString()

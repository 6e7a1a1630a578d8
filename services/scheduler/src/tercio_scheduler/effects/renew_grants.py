"""Renews what all attempts hold, in bulk, and takes away those that hold nothing any more; gives back what is over.

Agents renew with the scheduler, and the scheduler renews with the resources service. While it cannot, agents are not
renewed either, so that an attempt ends before what it holds is given to somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.delivery import Send
from tercio_common.machine.host import Host
from tercio_common.machine.outbox import OutboxRow
from tercio_common.peers import Peers, note_refusal
from tercio_scheduler.effects.admit import RESOURCES
from tercio_scheduler.state.admission import key_of, owner_of, unoffered
from tercio_scheduler.state.commands import RevokeUngranted
from tercio_scheduler.state.session import SchedulerSession

if TYPE_CHECKING:
    from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceAsyncStub

_MOST_OWNERS: Final = 10_000
_MOST_IDLE_MS: Final = 10_000
"""What was granted and is offered to nobody for so long, because its agents left, is given back."""
_log = structlog.get_logger(__name__)


class GrantRenewal:
    """The effect, and the sending of releases."""

    def __init__(self, peers: Peers, *, interval_ms: int) -> None:
        """Renew with the resources service of the fleet."""
        self._peers = peers
        self._interval_ms = interval_ms

    async def run(self, host: Host) -> None:
        """Renew for as long as the leadership lasts."""
        if not self._peers.has(RESOURCES):
            await asyncio.Event().wait()
        async with self._peers.remote(RESOURCES, ResourceServiceStub, host=host) as remote:
            while True:
                sent = host.moment().now
                try:
                    await self._renew(remote, host)
                except CallError as error:
                    _log.warning("grants_not_renewed", error=str(error), consequence="attempts that hold any will end")
                    note_refusal(error, host=host)
                except Refusal as refusal:
                    _log.warning("grants_not_revoked", reason=refusal.reason, effect="tries again")
                else:
                    session: SchedulerSession = host.session
                    session.grants_renewed_at = sent
                await host.clock.sleep_ms(self._interval_ms)

    async def _renew(self, remote: Remote[ResourceServiceAsyncStub], host: Host) -> None:
        if idle := tuple(unoffered(host.machine.tables, granted_before=host.moment().now - _MOST_IDLE_MS)):
            host.propose(RevokeUngranted(idle), call=EFFECT)
        held = [owner_of(row) for row in host.machine.tables.admissions.values() if row.granted]
        for first in range(0, len(held), _MOST_OWNERS):
            request = pb.RenewRequest(owners=held[first : first + _MOST_OWNERS])
            response = await remote.unary(lambda stub: stub.Renew, request, timeout_s=self._interval_ms / 1000)
            if response.unknown_owners:
                keys = tuple([key_of(owner) for owner in response.unknown_owners])
                host.propose(RevokeUngranted(keys), call=EFFECT)

    @asynccontextmanager
    async def releases(self, host: Host) -> AsyncIterator[Send]:
        """Give the way in which owners are released."""
        if not self._peers.has(RESOURCES):
            await asyncio.Event().wait()
        async with self._peers.remote(RESOURCES, ResourceServiceStub, host=host) as remote:

            async def send(rows: Sequence[OutboxRow]) -> Collection[str]:
                owners = [row.entry_id for row in rows]
                await remote.unary(
                    lambda stub: stub.Release, pb.ReleaseRequest(request_id=new_request_id(), owners=owners)
                )
                return owners

            yield send

"""Follows the pools of the resources service, so that tasks that were refused are tried again when they change.

Each message says as of which record the pools are shown, the first one as well; so whatever changed after a refusal is
noticed, also when the watch began later than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import structlog

from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.status import error_of
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_scheduler.effects.admit import RESOURCES
from tercio_scheduler.state.session import SchedulerSession

_LOOK_MS = 1_000
_log = structlog.get_logger(__name__)


class PoolWatch:
    """The effect."""

    def __init__(self, peers: Peers, *, changed: Callable[[], None]) -> None:
        """Watch the resources service of the fleet; `changed` is called after each change."""
        self._peers = peers
        self._changed = changed

    async def run(self, host: Host) -> None:
        """Follow for ever, from the first refusal on."""
        if not self._peers.has(RESOURCES):
            await asyncio.Event().wait()
        session: SchedulerSession = host.session
        while not session.shortages:
            await host.clock.sleep_ms(_LOOK_MS)
        async with self._peers.remote(RESOURCES, ResourceServiceStub, host=host) as remote:
            reconnect = Reconnect(remote.route, Backoff())
            while True:
                tried, error = remote.route.address, None
                call = remote.stub().WatchPools(pb.WatchPoolsRequest(), metadata=FOLLOW_LEADER)
                try:
                    async for response in call:
                        reconnect.succeeded()
                        session.shortages.pools_changed(response.seq)
                        self._changed()
                except grpc.RpcError as failure:
                    error = error_of(failure)
                finally:
                    call.cancel()
                _log.info(
                    "resources_away", address=tried, error=str(error), effect="refused tasks are tried now and then"
                )
                note_refusal(error, host=host)
                await reconnect.wait(error, tried=tried)

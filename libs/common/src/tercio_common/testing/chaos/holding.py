"""The resources service's part of a run: holders of a pool that is small for them, and the verdict on its history."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio_common.testing.chaos.fleet import RESOURCES, Fleet
from tercio_common.testing.chaos.holders import Holders
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import Verdict, allocation_checks, judge, recorded

_RECORDING: Final = "resources-recording"
_CLIENTS: Final = 24
"""Together they ask for one and a half times the pool, so that some are refused."""


class Holding:
    """Implements `Part`."""

    rest = "everything is released that holders held"

    def __init__(self, holders: Holders, running: asyncio.Task[None], recording: Path) -> None:
        """Use `holding`."""
        self._holders = holders
        self._running = running
        self._recording = recording

    async def settle(self, *, within_ms: int) -> None:
        self._holders.stop()
        await asyncio.wait_for(asyncio.shield(self._running), within_ms / 1000)
        await eventually(self._holders.is_quiet, within_ms=within_ms)

    def judge(self) -> Verdict:
        return judge(self._recording, service=RESOURCES, also=allocation_checks())

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        held = sum(self._holders.fates.values())
        return {
            "G4": f"{held} holders at {verdict.epochs} leaders",
            "G6": f"{held} allocations, {self._holders.fates['dies']} of the dead",
        }


@contextlib.asynccontextmanager
async def holding(fleet: Fleet, folder: Path, *, seed: int) -> AsyncIterator[Holding]:
    """Let holders contend while the context is open, and record the service's journal in the folder."""
    channels = Channels()
    async with recorded(fleet.store.journal(RESOURCES), folder / _RECORDING) as recorder:
        remote = Remote(Route(channels, [replica.front.address for replica in fleet.pools]), ResourceServiceStub)
        holders = Holders(remote, recorder.observe, seed=seed)
        running = asyncio.create_task(holders.keep_on(_CLIENTS))
        try:
            yield Holding(holders, running, folder / _RECORDING)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await channels.close()

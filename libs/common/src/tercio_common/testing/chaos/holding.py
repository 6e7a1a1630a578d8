"""The parts of a run whose clients contend for what a service decides, and the verdict on its history."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import grpc

from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio_common.testing.chaos.claimants import Claimants
from tercio_common.testing.chaos.fleet import CONFLICTS, RESOURCES, SCALING, Fleet, Replica
from tercio_common.testing.chaos.holders import Holders
from tercio_common.testing.chaos.scalers import STALE_MS, Scalers
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import (
    Verdict,
    Violation,
    allocation_checks,
    claim_checks,
    judge,
    recorded,
    scaling_checks,
)
from tercio_common.testing.history.checks import Check


class Contenders(Protocol):
    """Clients who contend for what a service grants."""

    async def keep_on(self, clients: int) -> None:
        """Let that many contend until `stop`."""

    def stop(self) -> None:
        """Let every client end after what it does at present."""

    async def is_quiet(self) -> bool:
        """Tell whether everything was released."""

    def seen_broken(self) -> Sequence[Violation]:
        """Return what clients saw that the journal does not show."""

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        """Return by promise what it was tried on."""


class Kind(NamedTuple):
    """What there is to hold.

    Attributes:
        service: that grants it.
        stub: of the service.
        contenders: makes its clients.
        checks: of its history.
        clients: how many contend: together for more than there is, so that some are refused.
        rest: what must hold once all is healed.
    """

    service: str
    stub: Callable[[grpc.aio.Channel], Any]
    contenders: Callable[..., Contenders]
    checks: Callable[[], Sequence[Check]]
    clients: int
    rest: str


POOLS: Final = Kind(
    RESOURCES, ResourceServiceStub, Holders, allocation_checks, 24, "everything is released that holders held"
)
CLAIMS: Final = Kind(CONFLICTS, ClaimServiceStub, Claimants, claim_checks, 16, "every claim is released")
CREW: Final = Kind(
    SCALING,
    ScalingServiceStub,
    Scalers,
    lambda: scaling_checks(stale_ms=STALE_MS),
    3,
    "the pool of agents is seen by the service that scales it",
)


class Holding:
    """Implements `Part`."""

    def __init__(self, kind: Kind, contenders: Contenders, running: asyncio.Task[None], recording: Path) -> None:
        """Use `holding`."""
        self.rest = kind.rest
        self._kind = kind
        self._contenders = contenders
        self._running = running
        self._recording = recording

    async def settle(self, *, within_ms: int) -> None:
        self._contenders.stop()
        await asyncio.wait_for(asyncio.shield(self._running), within_ms / 1000)
        await eventually(self._contenders.is_quiet, within_ms=within_ms)

    def judge(self) -> Verdict:
        verdict = judge(self._recording, service=self._kind.service, also=self._kind.checks())
        return replace(verdict, violations=(*verdict.violations, *self._contenders.seen_broken()))

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        return self._contenders.tried_on(verdict)


@contextlib.asynccontextmanager
async def holding(
    kind: Kind, fleet: Fleet, replicas: Sequence[Replica], folder: Path, *, seed: int
) -> AsyncIterator[Holding]:
    """Let clients of these replicas contend while the context is open, and record the service's journal."""
    channels, recording = Channels(), folder / f"{kind.service}-recording"
    async with recorded(fleet.store.journal(kind.service), recording) as recorder:
        remote = Remote(Route(channels, [replica.front.address for replica in replicas]), kind.stub)
        contenders = kind.contenders(remote, recorder.observe, seed=seed)
        running = asyncio.create_task(contenders.keep_on(kind.clients))
        try:
            yield Holding(kind, contenders, running, recording)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await channels.close()

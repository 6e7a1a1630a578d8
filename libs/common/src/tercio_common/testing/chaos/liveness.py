"""The registry's part of a run: agents that beat, what readers are shown of them, and the verdict on both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import grpc

from tercio_common.testing.chaos.beating import BeatingAgent, beating
from tercio_common.testing.chaos.fleet import BEAT_INTERVAL_MS, REGISTRY, Fleet
from tercio_common.testing.chaos.sightings import Sightings
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import Verdict, judge, liveness_checks, recorded

_RECORDING: Final = "registry-recording"
_AGENTS: Final = 5
_TTL_MS: Final = 3 * BEAT_INTERVAL_MS


class Liveness:
    """Agents of the registry, which only beat. Implements `Part`."""

    rest = "every agent that beats is shown healthy"

    def __init__(self, fleet: Fleet, sightings: Sightings, recording: Path) -> None:
        """Use `watched_agents`."""
        self._fleet = fleet
        self._sightings = sightings
        self._recording = recording

    async def settle(self, *, within_ms: int) -> None:
        await eventually(self._all_healthy, within_ms=within_ms)

    def _all_healthy(self) -> bool:
        return all(self._sightings.state.get(agent.agent_id) == "HEALTHY" for agent in self._fleet.beating)

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        beats, healthy = sum(agent.beats for agent in self._fleet.beating), self._sightings.shown["HEALTHY"]
        return {"G7": f"{healthy} times shown healthy, {beats} beats to {verdict.epochs} leaders"}

    def judge(self) -> Verdict:
        return judge(self._recording, service=REGISTRY, also=liveness_checks(ttl_ms=_TTL_MS))


@contextlib.asynccontextmanager
async def watched_agents(fleet: Fleet, folder: Path) -> AsyncIterator[Liveness]:
    """Let agents beat and readers look while the context is open, and record both in the folder."""
    addresses = [replica.front.address for replica in fleet.registries]
    async with recorded(fleet.store.journal(REGISTRY), folder / _RECORDING) as recorder:
        sightings = Sightings(addresses, recorder.observe)
        if addresses:
            await sightings.begin()
        fleet.beating = tuple(
            BeatingAgent(f"beating-{number}", addresses, recorder.observe, interval_ms=BEAT_INTERVAL_MS)
            for number in range(_AGENTS if addresses else 0)
        )
        looking = asyncio.create_task(_look(sightings, fleet))
        try:
            async with beating(fleet.beating):
                yield Liveness(fleet, sightings, folder / _RECORDING)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


async def _look(sightings: Sightings, fleet: Fleet) -> None:
    try:
        await sightings.run()
    except* grpc.aio.AioRpcError as errors:
        fleet.complain("G10", "Sightings", f"the watch of agents was refused: {errors.exceptions[0]}")

"""G7: who is shown HEALTHY has renewed with the present leader; nobody alive is declared gone for an outage of ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.etcd_server import EtcdServer
from support.processes import REGISTRY, Fleet, ServerProcess, fleet_on
from tercio_common.election.port import Leader
from tercio_common.testing.chaos.beating import BeatingAgent, beating
from tercio_common.testing.chaos.proxy import Proxy
from tercio_common.testing.chaos.sightings import Sightings
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import (
    CUT_OFF,
    RECONNECTED,
    Observation,
    Recorder,
    Verdict,
    judge,
    liveness_checks,
    recorded,
)

_INTERVAL_MS = 1_000
_TTL_S = 3 * _INTERVAL_MS / 1000
_SETTINGS = {"TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS": str(_INTERVAL_MS)}
_SOON_MS = 30_000
_NAMES = ("a", "b", "c", "d", "cut-1", "cut-2")


@dataclass(slots=True, kw_only=True)
class _Run:
    """Replicas, agents that beat, and what readers are shown of them."""

    etcd: EtcdServer
    fleet: Fleet
    ways: list[Proxy]
    recorder: Recorder
    beats: dict[str, asyncio.Task[None]]
    agents: dict[str, BeatingAgent]
    sightings: Sightings
    term: Leader | None = None

    async def leader(self) -> ServerProcess:
        """Wait for a leader that has not been seen yet."""
        leader, self.term = await self.fleet.leader_after(self.term)
        return leader

    async def shown(self, state: str, *names: str) -> None:
        """Wait until reads show all these agents in that state."""
        await eventually(lambda: {self.sightings.state.get(name) for name in names} == {state}, within_ms=_SOON_MS)

    def note(self, kind: str, *names: str) -> None:
        for name in names:
            self.recorder.observe(Observation(kind, name, asked_ms=time.time_ns() // 1_000_000))


@contextlib.asynccontextmanager
async def _running(etcd: EtcdServer, folder: Path, *, module: str, replicas: int) -> AsyncIterator[_Run]:
    async with contextlib.AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(fleet_on(etcd.endpoints, folder=folder, service="registry"))
        await fleet.add_all(replicas, module=module, settings=_SETTINGS)
        recorder = await stack.enter_async_context(recorded(fleet.journal, folder / "recording"))
        addresses = [replica.address for replica in fleet.replicas]
        ways = [await stack.enter_async_context(Proxy(address)) for address in addresses]
        sightings = Sightings(addresses, recorder.observe)
        await sightings.begin()
        looking = asyncio.create_task(sightings.run())
        agents = {
            name: BeatingAgent(
                name,
                [way.address for way in ways] if name.startswith("cut") else addresses,
                recorder.observe,
                interval_ms=_INTERVAL_MS,
            )
            for name in _NAMES
        }
        beats = await stack.enter_async_context(beating(list(agents.values())))
        run = _Run(
            etcd=etcd, fleet=fleet, ways=ways, recorder=recorder, beats=beats, agents=agents, sightings=sightings
        )
        await run.shown("HEALTHY", *_NAMES)
        try:
            yield run
            await sightings.caught_up(within_ms=_SOON_MS)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


async def _kill_the_leader_and_an_agent(run: _Run, name: str) -> None:
    run.beats[name].cancel()
    leader = await run.leader()
    leader.kill()
    leader.start()
    await run.shown("GONE", name)


async def _stop_the_leader(run: _Run) -> None:
    leader = await run.leader()
    leader.pause()
    await asyncio.sleep(2 * _TTL_S)
    leader.resume()


async def _stop_the_store_and_an_agent(run: _Run, name: str) -> None:
    run.etcd.kill()
    run.agents[name].pause()
    await asyncio.sleep(_TTL_S + 2)
    await asyncio.to_thread(run.etcd.restart)


async def _cut_off(run: _Run, *names: str) -> None:
    run.note(CUT_OFF, *names)
    for way in run.ways:
        way.partition()
    await run.shown("GONE", *names)
    for way in run.ways:
        way.heal()
    run.note(RECONNECTED, *names)


def _judged(folder: Path) -> Verdict:
    return judge(folder / "recording", service="registry", also=liveness_checks(ttl_ms=3 * _INTERVAL_MS))


@pytest.mark.timeout(180)
async def test_no_agent_pays_for_an_outage_and_none_is_shown_healthy_that_has_not_renewed(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path
) -> None:
    etcd = start_etcd()
    async with _running(etcd, tmp_path, module=REGISTRY, replicas=3) as run:
        await _kill_the_leader_and_an_agent(run, "a")
        await _stop_the_leader(run)
        await run.leader()
        await _stop_the_store_and_an_agent(run, "b")
        await run.shown("GONE", "b")
        await _cut_off(run, "cut-1", "cut-2")
        await run.shown("HEALTHY", "c", "d", "cut-1", "cut-2")
        run.agents["b"].resume()
        await run.shown("HEALTHY", "b")
        assert run.sightings.state["a"] == "GONE"
    assert run.sightings.shown["HEALTHY"] > 100
    verdict = _judged(tmp_path).demand()
    assert verdict.epochs >= 3


async def _come_back(etcd: EtcdServer, folder: Path, *, module: str) -> Verdict:
    """Kill the registry and an agent, start the registry after a whole lease; return what it made of it."""
    async with _running(etcd, folder, module=module, replicas=1) as run:
        await asyncio.sleep(_TTL_S)  # so that everybody's registration is older than a lease
        run.beats["a"].cancel()
        leader = await run.leader()
        leader.kill()
        await asyncio.sleep(_TTL_S)
        leader.start()
        await run.shown("GONE", "a")
    return _judged(folder)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("module", "check"),
    [
        pytest.param("support.launchers.charged_downtime", "LiveNeverGone", id="agents are charged with the downtime"),
        pytest.param("support.launchers.believed_health", "HealthyHasRenewed", id="the former leader is believed"),
    ],
)
async def test_a_registry_that_misjudges_agents_when_it_comes_back_would_be_found_out(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, module: str, check: str
) -> None:
    verdict = await _come_back(start_etcd(fsync=False), tmp_path, module=module)
    assert verdict.broken() == {"G7"}
    assert check in {violation.check for violation in verdict.violations}

"""One registry process with 10,000 agents, each with a heartbeat stream of its own; they share connections.

Heartbeats at the interval that the registry gives, each with a health report and what the agent did of two types of
task; canaries are sent as usual. Then every connection breaks, and all agents come back within 10 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc

from benchmarks.bars import Bar
from benchmarks.servers import Bench, cpu_of, memory_of
from tercio.api.registry.v1 import health_pb2, performance_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio_common.free_ports import free_ports
from tercio_common.testing.chaos.processes import ServerProcess

_AGENTS_A_CHANNEL: Final = 100
_REGISTERING: Final = 200
_RECONNECT_S: Final = 10.0
_RETRY_S: Final = (0.1, 1.0)
_BOOKMARK_WITHIN_S: Final = 1.0
_HEALTH: Final = health_pb2.HealthReport(
    cpu_ratio=0.5,
    memory_used_bytes=1 << 30,
    memory_limit_bytes=4 << 30,
    disk_used_bytes=1 << 37,
    disk_total_bytes=1 << 39,
    queue_limit=512,
    succeeded_attempts=40,
)
_LOST: Final = ("gone", "unhealthy")


class BeatingAgent:
    """One agent and its heartbeat stream."""

    def __init__(self, agent_id: str, stub: Any) -> None:
        """Beat through `stub`, which others share."""
        self._agent_id, self._stub = agent_id, stub
        self._incarnation = 0
        self._interval_s = 0.0
        self._beating: asyncio.Task[None] | None = None
        self.answered = 0
        self.refused = 0
        self.broken: Counter[str] = Counter()
        """Why streams ended by themselves."""

    async def register(self) -> None:
        """Join the fleet."""
        request = pb.RegisterAgentRequest(
            request_id=os.urandom(16).hex(),
            agent_id=self._agent_id,
            identity_secret=self._agent_id.encode(),
            instance_id=self._agent_id.encode()[-16:].rjust(16, b"0"),
            concurrency=1,
        )
        reply = await self._stub.RegisterAgent(request, timeout=60)
        self._incarnation = reply.agent.incarnation
        self._interval_s = reply.heartbeat_interval.ToMilliseconds() / 1000

    def connect(self, *, first_after_s: float) -> None:
        """Open the stream after a while, beat at once, and then once an interval."""
        self._beating = asyncio.create_task(self._beat(first_after_s))

    async def cut(self) -> None:
        """End the stream, as if the connection had broken."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    def _totals(self) -> performance_pb2.TaskTotals:
        done = [self.answered + 1, 2 * self.answered + 1]
        return performance_pb2.TaskTotals(
            task_types=["build", "test"], succeeded=done, failed=[0, 0], run_micros=[250_000 * each for each in done]
        )

    async def _beat(self, first_after_s: float) -> None:
        await asyncio.sleep(first_after_s)
        while True:
            try:
                await self._beat_on_one_stream()
            except grpc.aio.AioRpcError as error:
                if (task := asyncio.current_task()) and task.cancelling():
                    return  # grpc tells its own error of a call that was cut
                self.broken[f"{error.code().name}: {error.details()}"] += 1
            await asyncio.sleep(random.uniform(*_RETRY_S))

    async def _beat_on_one_stream(self) -> None:
        call = self._stub.Heartbeat()
        beat = pb.HeartbeatRequest.Beat(agent_id=self._agent_id, incarnation=self._incarnation)
        try:
            while True:
                beat.totals.CopyFrom(self._totals())
                beat.health.CopyFrom(_HEALTH)
                await call.write(pb.HeartbeatRequest(beats=[beat]))
                reply = await call.read()
                if reply is grpc.aio.EOF:
                    raise RuntimeError(f"the stream of {self._agent_id} ended")
                self.answered += 1
                self.refused += sum(bool(answer.reason) for answer in reply.answers)
                await asyncio.sleep(self._interval_s)
        finally:
            call.cancel()


async def bars(bench: Bench, *, agents: int, seconds: float) -> list[Bar]:
    """Measure a quiet fleet, a mass reconnect and the start of a watch."""
    (metrics,) = free_ports(1)
    registry = await bench.add("tercio_registry", settings={"TERCIO_SERVER__METRICS_PORT": str(metrics)})
    bare = memory_of(registry)
    async with _fleet(registry, agents) as fleet:
        for agent in fleet:
            agent.connect(first_after_s=random.uniform(0, _RECONNECT_S))
        await asyncio.sleep(_RECONNECT_S)
        found = await _quiet(fleet, registry, seconds=seconds)
        found.append(
            Bar(name="registry: memory an agent", value=(memory_of(registry) - bare) / agents / 1000, unit="kB")
        )
        found.append(await _reconnected(fleet, registry, metrics))
        found.append(await _watched(registry, agents))
    return found


async def _quiet(fleet: Sequence[BeatingAgent], registry: ServerProcess, *, seconds: float) -> list[Bar]:
    answered, cpu, began = _answered(fleet), cpu_of(registry), time.perf_counter()
    await asyncio.sleep(seconds)
    taken = time.perf_counter() - began
    beats, used = _answered(fleet) - answered, cpu_of(registry) - cpu
    return [
        Bar(
            name=f"registry: share of one core for {len(fleet):,} agents",
            value=used / taken * 100,
            limit=100,
            unit="%",
            details={"heartbeats/s": beats / taken, "µs a heartbeat": used / beats * 1e6},
        )
    ]


async def _reconnected(fleet: Sequence[BeatingAgent], registry: ServerProcess, metrics: int) -> Bar:
    await asyncio.gather(*(agent.cut() for agent in fleet))
    answered, cpu = [agent.answered for agent in fleet], cpu_of(registry)
    began = time.perf_counter()
    for agent in fleet:
        agent.connect(first_after_s=random.uniform(0, _RECONNECT_S))
    lost = 0
    while any(agent.answered == before for agent, before in zip(fleet, answered, strict=True)):
        lost = max(lost, await asyncio.to_thread(_lost, metrics))
        await asyncio.sleep(0.25)
    details = {
        "all answered after s": time.perf_counter() - began,
        "registry's CPU s": cpu_of(registry) - cpu,
        "streams that broke by themselves": sum(agent.broken.total() for agent in fleet),
    }
    lost = max(lost, await asyncio.to_thread(_lost, metrics), sum(agent.refused for agent in fleet))
    name = f"registry: agents declared unhealthy or gone while {len(fleet):,} reconnect in {_RECONNECT_S:.0f} s"
    return Bar(name=name, value=lost, limit=0, details=details)


async def _watched(registry: ServerProcess, agents: int) -> Bar:
    """Time a list of all agents and the watch that goes on from it, until the watch says that it stands."""
    async with grpc.aio.insecure_channel(registry.address) as channel:
        stub: Any = RegistryServiceStub(channel)
        began = time.perf_counter()
        page = await stub.ListAgents(pb.ListAgentsRequest(page_size=1000), timeout=30)
        cursor, listed, token = page.cursor, len(page.agents), page.next_page_token
        while token:
            page = await stub.ListAgents(pb.ListAgentsRequest(page_size=1000, page_token=token), timeout=30)
            listed, token = listed + len(page.agents), page.next_page_token
        listing = time.perf_counter() - began
        call = stub.WatchAgents(pb.WatchAgentsRequest(cursor=cursor))
        await call.read()
        taken = time.perf_counter() - began
        call.cancel()
    return Bar(
        name=f"registry: list of {agents:,} agents and start of the watch",
        value=taken,
        limit=_BOOKMARK_WITHIN_S,
        unit="s",
        details={"listed": listed, "list s": listing, "watch s": taken - listing},
    )


@contextlib.asynccontextmanager
async def _fleet(registry: ServerProcess, agents: int) -> AsyncIterator[list[BeatingAgent]]:
    channels = [
        # Connections of their own: gRPC would let channels to one address share one.
        grpc.aio.insecure_channel(registry.address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-agents // _AGENTS_A_CHANNEL))
    ]
    stubs: list[Any] = [RegistryServiceStub(channel) for channel in channels]
    fleet = [BeatingAgent(f"agent-{number:010d}", stubs[number // _AGENTS_A_CHANNEL]) for number in range(agents)]
    try:
        for first in range(0, agents, _REGISTERING):
            await asyncio.gather(*(agent.register() for agent in fleet[first : first + _REGISTERING]))
        yield fleet
    finally:
        await asyncio.gather(*(agent.cut() for agent in fleet))
        for channel in channels:
            await channel.close()


def _answered(fleet: Sequence[BeatingAgent]) -> int:
    return sum(agent.answered for agent in fleet)


def _lost(metrics: int) -> int:
    """Return how many agents the registry shows as unhealthy or gone."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    wanted = {f'tercio_registry_agents{{state="{state}"}}' for state in _LOST}
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.rpartition(" ")[0] in wanted)

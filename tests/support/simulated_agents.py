"""Agents for Pods that only pretend to run: for each Pod that runs, an agent of its name in this process.

They are to a simulated node what processes are to a kubelet. A Pod that is told to end has its agent told so; when that
has drained, or the Pod's grace is over, the Pod goes. Until then a finalizer keeps it, for simulated nodes themselves
remove a Pod at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from support.kubernetes_objects import Namespace
from tercio import Agent, Context
from tercio_common.epochs import Epoch
from tercio_scaling.drivers.cluster import Gone, Json, NotThere
from tercio_scaling.drivers.fencing import epoch_of
from tercio_scaling.drivers.pod_members import DELETION_COST
from tercio_scaling.drivers.protocol import DriverError

FINALIZER: Final = "tercio.dev/simulated-agent"
TASK_TYPE: Final = "work"
POOL_LABEL: Final = "app"
"""The label of a Pod that names its agent's pool."""
_WORK_S: Final = (0.02, 0.3)
"""How long a task takes, at least and at most."""


class SimulatedAgents:
    """See `simulated_agents`."""

    def __init__(self, namespace: Namespace, *, address: str | None, grace_s: float, seed: int) -> None:
        self._namespace = namespace
        self._address = address
        self._grace_s = grace_s
        self._random = random.Random(seed)
        self._agents: dict[str, tuple[Agent, asyncio.Task[None]]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self.busy: Counter[str] = Counter()
        """Attempts that each agent runs."""
        self.ran = 0
        self.told_busy: dict[str, bool] = {}
        """Agents that had an attempt when their Pod was told to end, and whether they had been chosen to leave."""
        self.removed_busy: list[str] = []
        """Agents that still had one when their Pod went."""

    @property
    def count(self) -> int:
        """Agents that run and were not told to end."""
        return len(self._agents) - len(self._ending)

    async def follow(self) -> None:
        """Have an agent for each Pod that runs, for ever."""
        while True:
            with contextlib.suppress(Gone, DriverError):
                watch = self._namespace.cluster.watch(self._namespace.pods_path, query={})
                async with contextlib.aclosing(watch) as events:
                    async for event in events:
                        if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                            self._see(event["type"], event["object"])

    async def close(self) -> None:
        """End every agent; their Pods stay until the namespace goes."""
        running = [*self._ending.values(), *(task for _, task in self._agents.values())]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _see(self, kind: str, pod: Json) -> None:
        name, told = pod["metadata"]["name"], "deletionTimestamp" in pod["metadata"]
        if kind == "DELETED":
            self._gone(name)
        elif told and name not in self._ending:
            if self.busy[name]:
                self.told_busy[name] = DELETION_COST in pod["metadata"].get("annotations", {})
            self._ending[name] = asyncio.create_task(self._end(name))
        elif not told and pod["status"].get("phase") == "Running" and name not in self._agents:
            agent = self._agent(name, pod["metadata"]["labels"][POOL_LABEL])
            self._agents[name] = agent, asyncio.create_task(agent.run())

    def _agent(self, name: str, pool: str) -> Agent:
        agent = Agent(agent_id=name, pool=pool, address=self._address)

        @agent.task(TASK_TYPE)
        async def work(task: Context) -> bytes:
            self.busy[name] += 1
            try:
                await asyncio.sleep(self._random.uniform(*_WORK_S))
            finally:
                self.busy[name] -= 1
            self.ran += 1
            return task.payload

        return agent

    async def _end(self, name: str) -> None:
        """What a kubelet does: SIGTERM, wait for the process or the end of its grace, and the Pod goes."""
        if name in self._agents:
            agent, running = self._agents[name]
            agent.drain()
            await asyncio.wait({running}, timeout=self._grace_s)
            if self.busy[name]:
                self.removed_busy.append(name)
            running.cancel()
        await self._release(name)

    def _gone(self, name: str) -> None:
        """A Pod went; whoever removed it did not wait if its agent still runs something."""
        self._ending.pop(name, None)
        if name in self._agents:
            _, running = self._agents.pop(name)
            if self.busy.pop(name, 0):
                self.removed_busy.append(name)
            running.cancel()

    async def _release(self, name: str) -> None:
        with contextlib.suppress(NotThere):
            path = f"{self._namespace.pods_path}/{name}"
            await self._namespace.cluster.ask("PATCH", path, body={"metadata": {"finalizers": None}})


@contextlib.asynccontextmanager
async def simulated_agents(
    namespace: Namespace, *, address: str | None, grace_s: float, seed: int
) -> AsyncIterator[SimulatedAgents]:
    """Run agents for the namespace's Pods, which need `FINALIZER`, until the block ends.

    Args:
        namespace: whose Pods they are; the label `POOL_LABEL` names the pool of each.
        address: of the fleet; None takes what the environment says.
        grace_s: how long a Pod that is told to end may take, in seconds.
        seed: of how long tasks take.
    """
    agents = SimulatedAgents(namespace, address=address, grace_s=grace_s, seed=seed)
    following = asyncio.create_task(agents.follow())
    try:
        yield agents
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await agents.close()


class Asked(NamedTuple):
    """What a Deployment was asked for, and by a leader of which epoch."""

    replicas: int
    epoch: Epoch


async def all_asked(namespace: Namespace, seen: dict[str, list[Asked]]) -> None:
    """Note, for ever and in order, whatever each Deployment of the namespace is asked for, by its name."""
    path, version = f"/apis/apps/v1/namespaces/{namespace.name}/deployments", ""
    while True:
        with contextlib.suppress(DriverError):
            watch = namespace.cluster.watch(path, query={"resourceVersion": version} if version else {})
            async with contextlib.aclosing(watch) as events:
                async for event in events:
                    version = event["object"]["metadata"]["resourceVersion"]
                    thing = event["object"]
                    if event["type"] in ("ADDED", "MODIFIED"):
                        asked = Asked(thing["spec"]["replicas"], epoch_of(thing))
                        seen.setdefault(thing["metadata"]["name"], []).append(asked)

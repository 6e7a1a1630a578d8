"""Pools of a running scaling service whose agents are simulated Pods, and calls that scale them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Final

from support.kubernetes_objects import Namespace, pod_template
from support.simulated_agents import FINALIZER, POOL_LABEL, TASK_TYPE
from tercio import Client, TaskHandle, TaskState
from tercio.api.scaling.v1 import agent_pool_pb2, scaling_service_pb2
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

_CALL_S: Final = 120.0
_HOLD_S: Final = 3_600
"""Triggers change nothing while a test scales by hand."""
_LOAD: Final = 3
"""Tasks under way for each agent: each always has one, and the next."""


class ScaledPools:
    """Calls of the scaling service, wherever its leader is."""

    def __init__(self, namespace: Namespace, channels: Channels, address: str) -> None:
        self._namespace = namespace
        self._remote = Remote(Route(channels, address.split(",")), ScalingServiceStub)

    async def apply(self, pool: str, *, least: int, most: int, drain_s: int, driver: str = "deployment") -> None:
        """Declare a pool of the Pods of a Deployment, which is made, or of single `pods`."""
        declared = agent_pool_pb2.AgentPool(pool_id=pool, min_agents=least, max_agents=most, task_types=[TASK_TYPE])
        declared.drain_limit.FromSeconds(drain_s)
        if driver == "pods":
            template = pod_template(terminationGracePeriodSeconds=drain_s)
            template["metadata"] = {"labels": {POOL_LABEL: pool}, "finalizers": [FINALIZER]}
            declared.pods.namespace, declared.pods.template_json = self._namespace.name, json.dumps(template)
        else:
            await self._namespace.make_deployment(
                pool, replicas=least, finalizers=[FINALIZER], terminationGracePeriodSeconds=drain_s
            )
            declared.deployment.namespace, declared.deployment.name = self._namespace.name, pool
        request = scaling_service_pb2.ApplyPoolRequest(request_id=uuid.uuid4().hex, pool=declared)
        await self._remote.unary(lambda stub: stub.ApplyPool, request)
        await self.scale(pool, least)

    async def scale(self, pool: str, agents: int, *, wait: bool = True) -> scaling_service_pb2.ScalePoolResponse:
        """Have that many agents; with `wait` return once they are there, or gone."""
        request = scaling_service_pb2.ScalePoolRequest(
            request_id=uuid.uuid4().hex, pool_id=pool, agents=agents, reason="the test asks for it"
        )
        request.hold.FromSeconds(_HOLD_S)
        if wait:
            request.wait_timeout.FromSeconds(int(_CALL_S) - 10)
        return await self._remote.unary(
            lambda stub: stub.ScalePool, request, timeout_s=_CALL_S, try_timeout_s=_CALL_S if wait else None
        )

    async def pool(self, pool: str) -> agent_pool_pb2.AgentPool:
        """Return a pool as it is."""
        request = scaling_service_pb2.GetPoolRequest(pool_id=pool)
        return (await self._remote.unary(lambda stub: stub.GetPool, request)).pool


@contextlib.asynccontextmanager
async def scaled_pools(namespace: Namespace, address: str) -> AsyncIterator[ScaledPools]:
    """Yield calls of the scaling service at an address, or at several separated by commas."""
    channels = Channels()
    try:
        yield ScaledPools(namespace, channels, address)
    finally:
        await channels.close()


class Load:
    """Tasks without end: as many under way as keep that many agents busy."""

    def __init__(self, client: Client, *, agents: int) -> None:
        self._client = client
        self._room = asyncio.Semaphore(_LOAD * agents)
        self._results: set[asyncio.Task[TaskState]] = set()
        self.submitted = 0
        self.states: dict[TaskState, int] = {}
        """What became of the tasks that ended."""

    async def run(self) -> None:
        """Submit for ever."""
        while True:
            await self._room.acquire()
            following = asyncio.create_task(self._follow(self._client.enqueue(TASK_TYPE, "x")))
            self.submitted += 1
            self._results.add(following)
            following.add_done_callback(self._results.discard)

    async def end(self) -> None:
        """Wait until every task has ended."""
        await asyncio.gather(*self._results)

    async def _follow(self, handle: TaskHandle) -> TaskState:
        await handle.result()
        self.states[handle.state] = self.states.get(handle.state, 0) + 1
        self._room.release()
        return handle.state


@contextlib.asynccontextmanager
async def load(client: Client, *, agents: int) -> AsyncIterator[Load]:
    """Keep that many agents busy until the block ends, and then wait until every task has ended."""
    tasks = Load(client, agents=agents)
    submitting = asyncio.create_task(tasks.run())
    try:
        yield tasks
    finally:
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)
    await tasks.end()

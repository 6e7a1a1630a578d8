"""A configuration that an agent is taking when the registry's leader is killed is decided by the next leader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.etcd_server import EtcdServer
from support.processes import fleet_on
from tercio.api.registry.v1 import agent_config_pb2
from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb
from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceStub
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.api.type.v1 import system_task_pb2
from tercio_common.testing.eventually import eventually

Revision = agent_config_pb2.ConfigRevision
Outcome = system_task_pb2.SystemTaskOutcome
_SOON_MS = 30_000


async def serves(channel: grpc.aio.Channel) -> bool:
    """Tell whether the replica answers by itself: it has replayed the journal."""
    stub: Any = RegistryServiceStub(channel)
    try:
        await stub.ListAgents(registry_pb.ListAgentsRequest(), timeout=5)
    except grpc.aio.AioRpcError:
        return False
    return True


async def shown(channel: grpc.aio.Channel) -> system_task_pb2.SystemTask:
    """Return the first system task that the leader shows for a configuration."""
    stub: Any = RegistryServiceStub(channel)
    async for message in stub.WatchSystemTasks(registry_pb.WatchSystemTasksRequest(), wait_for_ready=True, timeout=30):
        if message.system_task.kind == "tercio.configure":
            return message.system_task  # type: ignore[no-any-return]
    raise AssertionError("the watch ended")


def answer(task: system_task_pb2.SystemTask) -> registry_pb.ReportSystemTasksRequest:
    """Return what an agent answers that runs what it was sent."""
    digest = hashlib.sha256(task.input.partition(b"\n")[2]).hexdigest()
    output = json.dumps({"digest": digest}).encode()
    outcome = Outcome(system_task_id=task.system_task_id, result=Outcome.RESULT_SUCCEEDED, output=output)
    return registry_pb.ReportSystemTasksRequest(outcomes=[outcome])


@pytest.mark.timeout(90)
async def test_a_leader_is_killed_while_an_agent_applies_a_configuration(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path
) -> None:
    endpoints = start_etcd(fsync=False).endpoints
    async with fleet_on(endpoints, folder=tmp_path, service="registry") as registry:
        await registry.add_all(2, module="tercio_registry")
        replica, former = await registry.leader_after(None)
        async with grpc.aio.insecure_channel(replica.address) as channel:
            agents: Any = RegistryServiceStub(channel)
            configs: Any = ConfigServiceStub(channel)
            await agents.RegisterAgent(
                registry_pb.RegisterAgentRequest(agent_id="a", identity_secret=b"s" * 16, instance_id=b"i" * 16),
                wait_for_ready=True,
                timeout=20,
            )
            request = pb.UpdateConfigRequest(request_id="once", agent_id="a", document='{"port":80}')
            request.observe_duration.FromMilliseconds(0)
            await configs.UpdateConfig(request)
            task = await shown(channel)
        replica.kill()
        replica, _ = await registry.leader_after(former)
        async with grpc.aio.insecure_channel(replica.address) as channel:
            await eventually(lambda: serves(channel), within_ms=_SOON_MS)
            agents, configs = RegistryServiceStub(channel), ConfigServiceStub(channel)
            again = await shown(channel)
            assert again == task
            assert (await configs.UpdateConfig(request)).revision.revision == 1
            await agents.ReportSystemTasks(answer(again))

            async def active() -> bool:
                found = await configs.ListConfigRevisions(pb.ListConfigRevisionsRequest(agent_id="a"))
                return [each.state for each in found.revisions] == [Revision.STATE_ACTIVE]

            await eventually(active, within_ms=_SOON_MS)

"""What grpcurl does: learn the contract by reflection, then call with JSON; at a leader and at a follower alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from support.etcd_server import EtcdServer
from support.processes import ServerProcess

REPLICAS = 2
SERVICES = {
    "tercio_registry": ("tercio.api.registry.v1.RegistryService",),
    "tercio_resources": ("tercio.api.resources.v1.ResourceService",),
    "tercio_scheduler": (
        "tercio.api.scheduler.v1.PlanService",
        "tercio.api.scheduler.v1.TaskService",
        "tercio.api.scheduler.v1.WorkService",
    ),
}


class Curl:
    """A client that knows nothing of the contract but what reflection tells."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._pool = descriptor_pool.DescriptorPool()
        self._known: set[str] = set()

    async def services(self) -> set[str]:
        answer = await self._ask(reflection_pb2.ServerReflectionRequest(list_services=""))
        return {service.name for service in answer.list_services_response.service}

    async def call(self, service: str, method: str, **fields: Any) -> dict[str, Any]:
        await self._learn(reflection_pb2.ServerReflectionRequest(file_containing_symbol=service))
        found = self._pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(found.input_type)()
        json_format.ParseDict(fields, request)
        call = self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(found.output_type).FromString,
        )
        return json.loads(json_format.MessageToJson(await call(request, timeout=10)))

    async def _learn(self, request: reflection_pb2.ServerReflectionRequest) -> None:
        answer = await self._ask(request)
        for data in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self._known:
                continue
            self._known.add(file.name)
            for imported in file.dependency:
                await self._learn(reflection_pb2.ServerReflectionRequest(file_by_filename=imported))
            self._pool.Add(file)

    async def _ask(self, request: reflection_pb2.ServerReflectionRequest) -> Any:
        async for answer in self._reflection.ServerReflectionInfo(iter([request])):
            return answer
        raise AssertionError("the reflection service did not answer")


@pytest.fixture(params=sorted(SERVICES))
async def replicas(
    request: pytest.FixtureRequest, start_etcd: Callable[..., EtcdServer], tmp_path: Path
) -> AsyncIterator[tuple[str, list[ServerProcess]]]:
    """Yield a service's module and two replicas of it, one of which leads."""
    etcd = start_etcd(fsync=False)
    started = [ServerProcess(request.param, folder=tmp_path, endpoints=etcd.endpoints) for _ in range(REPLICAS)]
    try:
        for replica in started:
            replica.start()
        await asyncio.gather(*(replica.ready() for replica in started))
        yield request.param, started
    finally:
        for replica in started:
            replica.kill()


async def test_every_replica_answers_who_knows_only_reflection(replicas: tuple[str, list[ServerProcess]]) -> None:
    module, started = replicas
    answers = []
    for replica in started:
        async with grpc.aio.insecure_channel(replica.address) as channel:
            curl = Curl(channel)
            assert await curl.services() >= set(SERVICES[module])
            answers.append(await _use(curl, module))
    assert answers[0] == answers[1], "leader and follower tell the same"


async def _use(curl: Curl, module: str) -> dict[str, Any]:
    if module == "tercio_registry":
        service = "tercio.api.registry.v1.RegistryService"
        secret = {"identitySecret": "c2VjcmV0c2VjcmV0c2VjcmV0", "instanceId": "MDEyMzQ1Njc4OWFiY2RlZg=="}
        await curl.call(service, "RegisterAgent", agentId="a", requestId="r", capabilities={"text": 5}, **secret)
        return (await curl.call(service, "GetAgent", agentId="a"))["agent"]["capabilities"]
    if module == "tercio_resources":
        service = "tercio.api.resources.v1.ResourceService"
        specs = [{"amounts": [{"dimension": "cpu", "amount": "1000"}]}]
        await curl.call(service, "Allocate", requestId="r", specs=specs, owners=["a"])
        return {"granted": (await curl.call(service, "GetPool", poolId="cpu"))["pool"]["granted"]}
    service = "tercio.api.scheduler.v1.TaskService"
    task = {"taskId": "t", "template": {"taskType": "upper"}}
    await curl.call(service, "SubmitTasks", requestId="r", tasks=[task])
    return {"state": (await curl.call(service, "GetTask", taskId="t"))["task"]["state"]}

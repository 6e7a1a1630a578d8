"""The registry as a process: `python -m tercio_registry`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator

import grpc
import pytest

from support.crashing_process import STARTS_WITHIN_S
from support.etcd_server import EtcdServer
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub

pytestmark = pytest.mark.timeout(2 * STARTS_WITHIN_S)


@contextlib.asynccontextmanager
async def process(**settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TERCIO_")}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tercio_registry",
        env={**environment, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.communicate()


async def port_of(running: asyncio.subprocess.Process) -> int:
    """Return the port once the process leads."""
    assert running.stdout is not None
    port = 0
    async for line in running.stdout:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            port = entry.get("port", port)
            if entry.get("event") == "leading":
                return int(port)
    raise AssertionError("the process ended before it led")


async def test_it_serves_until_a_signal_and_drains() -> None:
    async with process(TERCIO_STORE__KIND="memory", TERCIO_SERVER__PORT="0") as running:
        port = await asyncio.wait_for(port_of(running), STARTS_WITHIN_S)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = pb.RegisterAgentRequest(agent_id="a", identity_secret=b"s" * 16, instance_id=b"i" * 16)
            reply = await RegistryServiceStub(channel).RegisterAgent(request, wait_for_ready=True, timeout=10)
            assert reply.agent.incarnation == 1
        running.terminate()
        assert await asyncio.wait_for(running.wait(), 60) == 0


async def test_it_does_not_start_with_settings_that_contradict_each_other() -> None:
    async with process(TERCIO_REGISTRY__RETENTION_MS="1000") as running:
        output, _ = await asyncio.wait_for(running.communicate(), STARTS_WITHIN_S)
        assert running.returncode == 2
        assert b"retention_ms (1000) must be at least three times heartbeat_interval_ms" in output


async def test_it_does_not_lead_when_what_services_may_hold_does_not_fit_into_the_store(
    etcd_server: EtcdServer,
) -> None:
    settings = {
        "TERCIO_HOST__LIVE_BYTES": json.dumps({"registry": 4 << 30}),
        "TERCIO_SERVER__PORT": "0",
        "TERCIO_STORE__ENDPOINTS": json.dumps(list(etcd_server.endpoints)),
        "TERCIO_STORE__PREFIX": "test-process",
    }
    async with process(**settings) as running:
        output, _ = await asyncio.wait_for(running.communicate(), STARTS_WITHIN_S)
    assert running.returncode == 2
    assert b"lower host.live_bytes or host.audit_bytes, or raise the quota" in output
    assert b'"leading"' not in output

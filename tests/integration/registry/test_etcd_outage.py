"""An outage of the store is nobody's death: real etcd, stopped in its tracks, under agents that go on beating."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import grpc
import pytest

from support.etcd_server import EtcdServer
from support.registry import Heartbeats, Registry, running_registry
from tercio_common.clock import SystemClock
from tercio_common.election.renewal import LeaseSettings
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.store import EtcdStore
from tercio_common.settings import HostSettings
from tercio_common.testing.eventually import eventually
from tercio_registry.settings import RegistrySettings

SETTINGS = RegistrySettings(heartbeat_interval_ms=1_000, retention_ms=60_000)
TTL_S = 3.0
SHORT = LeaseSettings(ttl_ms=2_000, renew_interval_ms=300, rpc_timeout_ms=300, margin_ms=500)
LONG = LeaseSettings()


async def live(registry: Registry, agent_id: str) -> None:
    """Beat for ever, through whatever happens to the streams."""
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError, AssertionError):
            stream = Heartbeats(registry)
            reading = asyncio.create_task(drain(stream))
            try:
                while not reading.done():
                    await stream.send((agent_id, 1))
                    await asyncio.sleep(0.1)
            finally:
                reading.cancel()
                stream.call.cancel()
        await asyncio.sleep(0.05)


async def drain(stream: Heartbeats) -> None:
    while await stream.call.read() is not grpc.aio.EOF:
        pass


@contextlib.asynccontextmanager
async def fleet(etcd: EtcdServer, lease: LeaseSettings) -> AsyncIterator[Registry]:
    """Yield a registry with agent `live`, which beats, and agent `silent`, which does not."""
    clock = SystemClock()
    settings = EtcdSettings(endpoints=tuple(etcd.endpoints), rpc_timeout_ms=lease.rpc_timeout_ms)
    store = EtcdStore(settings, clock=clock, ttl_ms=lease.ttl_ms)
    try:
        host_settings = HostSettings(lease=lease)
        async with running_registry(store, clock=clock, settings=SETTINGS, host_settings=host_settings) as registry:
            await registry.register("live")
            beating = asyncio.create_task(live(registry, "live"))
            try:
                yield registry
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
    finally:
        await store.close()


async def state(registry: Registry, agent_id: str) -> str:
    try:
        return await registry.state(agent_id)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return ""


@pytest.mark.timeout(60)
async def test_nobody_is_gone_within_a_ttl_after_a_long_outage(start_etcd: Callable[..., EtcdServer]) -> None:
    etcd = start_etcd()
    async with fleet(etcd, SHORT) as registry:
        epoch = registry.service.host.epoch
        await registry.register("silent")
        etcd.pause()
        await eventually(lambda: not registry.service.host.leading)
        await asyncio.sleep(2 * TTL_S)
        etcd.resume()
        returned = time.monotonic()
        await eventually(lambda: registry.service.host.leading, within_ms=20_000)
        assert registry.service.host.epoch > epoch
        assert await registry.state("silent") == "UNCONFIRMED"
        seen = set()
        while (silent := await state(registry, "silent")) != "GONE":
            seen.add(await state(registry, "live"))
            assert silent in {"UNCONFIRMED", ""}
            await asyncio.sleep(0.02)
        assert time.monotonic() - returned >= TTL_S
        assert seen <= {"UNCONFIRMED", "HEALTHY", ""}
        assert await registry.state("live") == "HEALTHY"


@pytest.mark.timeout(60)
async def test_a_short_outage_costs_a_beating_agent_nothing(start_etcd: Callable[..., EtcdServer]) -> None:
    etcd = start_etcd()
    async with fleet(etcd, LONG) as registry:
        epoch = registry.service.host.epoch
        await registry.register("silent")
        watch = await registry.watch().standing()
        etcd.pause()
        await asyncio.sleep(2 * TTL_S)
        etcd.resume()
        while True:
            agent_id, shown = await watch.next()
            assert agent_id == "silent"
            if shown == "GONE":
                break
        assert await registry.state("live") == "HEALTHY"
        assert registry.service.host.epoch == epoch

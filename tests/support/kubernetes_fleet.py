"""Processes of a fleet that scales a Deployment: a registry, a scheduler, and replicas of scaling.

Each replica has a proxy of its own before the API server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from support.api_server_proxy import ApiServerProxy
from support.etcd_server import EtcdServer
from support.processes import REGISTRY, SCHEDULER, Fleet, ServerProcess
from support.workload import NOTHING_THERE

SCALING: Final = "tercio_scaling"
LEASE: Final = {"TTL_MS": 6_000, "RENEW_INTERVAL_MS": 1_000, "RPC_TIMEOUT_MS": 1_000, "MARGIN_MS": 1_000}
"""Longer than elsewhere: cluster and agents are on this machine too, and only the test is to end a leadership."""
_QUICK: Final = {
    **{f"TERCIO_HOST__LEASE__{name}": str(value) for name, value in LEASE.items()},
    "TERCIO_SCALING__OBSERVE_MS": "500",
    "TERCIO_SCALING__SETTLE_MS": "50",
    "TERCIO_SCALING__CHECK_MS": "1000",
    "TERCIO_SCALING__STALE_MS": "5000",
    "TERCIO_SCALING__KUBERNETES__CALL_TIMEOUT_MS": "60000",
}


class ScalingFleet:
    """See `scaling_fleet`."""

    def __init__(self, replicas: Fleet, peers: dict[str, str], kubeconfig: str, folder: Path) -> None:
        self.replicas = replicas
        self.proxies: dict[str, ApiServerProxy] = {}
        """By the address of the replica that calls through it."""
        self._peers = peers
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._open = contextlib.AsyncExitStack()

    async def add(self, module: str = SCALING) -> tuple[ServerProcess, ApiServerProxy]:
        """Start a replica; return it and its way to the API server."""
        proxy = await self._open.enter_async_context(ApiServerProxy.started(self._kubeconfig))
        file = str(proxy.kubeconfig(self._folder))
        settings = {**self._peers, **_QUICK, "TERCIO_SCALING__KUBERNETES__KUBECONFIG": file}
        replica = await self.replicas.add(module, settings=settings)
        self.proxies[replica.address] = proxy
        return replica, proxy

    async def close(self) -> None:
        """Kill the replicas and close the proxies."""
        await self.replicas.close()
        await self._open.aclose()


@contextlib.asynccontextmanager
async def scaling_fleet(
    etcd: EtcdServer, kubeconfig: str, folder: Path, environment: pytest.MonkeyPatch
) -> AsyncIterator[ScalingFleet]:
    """Yield a fleet without replicas of scaling yet; clients and agents of this process are told where the rest is."""
    peers: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as running:
        for service, module in (("registry", REGISTRY), ("scheduler", SCHEDULER)):
            fleet = Fleet(etcd.endpoints, folder=folder, service=service)
            running.push_async_callback(fleet.close)
            peers[f"TERCIO_{service.upper()}_ADDRESS"] = (await fleet.add(module, settings=dict(peers))).address
        for name in ("RESOURCES", "CONFLICTS"):
            environment.setenv(f"TERCIO_{name}_ADDRESS", NOTHING_THERE)
        for name, address in peers.items():
            environment.setenv(name, address)
        whole = ScalingFleet(Fleet(etcd.endpoints, folder=folder, service="scaling"), peers, kubeconfig, folder)
        running.push_async_callback(whole.close)
        yield whole

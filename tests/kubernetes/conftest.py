"""What these tests share: the cluster that KUBECONFIG names, a namespace for each, a proxy before the API server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from support.api_server_proxy import ApiServerProxy
from support.kubernetes_objects import NO_NODES, Namespace, has_simulated_nodes, own_namespace
from tercio_common.clock import SystemClock
from tercio_scaling.drivers.deployment import DeploymentDriver
from tercio_scaling.drivers.kubernetes_settings import KubernetesSettings
from tercio_scaling.drivers.pods import PodsDriver

_NO_CLUSTER = "KUBECONFIG is not set: name a cluster that may be used for tests, for instance one that `kind` made"


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """Return the file that names the cluster; an absent cluster is a failure, never a skip."""
    named = os.environ.get("KUBECONFIG", "")
    if not named:
        pytest.fail(_NO_CLUSTER)
    return named


@pytest.fixture
async def namespace(kubeconfig: str) -> AsyncIterator[Namespace]:
    """Yield a namespace of the test's own, on a cluster with simulated nodes."""
    assert await has_simulated_nodes(kubeconfig), NO_NODES
    async with own_namespace(kubeconfig) as made:
        yield made


@pytest.fixture
async def proxy(kubeconfig: str) -> AsyncIterator[ApiServerProxy]:
    """Yield a proxy before the API server."""
    async with ApiServerProxy.started(kubeconfig) as started:
        yield started


@pytest.fixture
async def settings(proxy: ApiServerProxy, tmp_path: Path) -> KubernetesSettings:
    """Return settings that lead through the proxy, with short watches."""
    return KubernetesSettings(kubeconfig=str(proxy.kubeconfig(tmp_path)), call_timeout_ms=15_000, watch_ms=5_000)


@pytest.fixture
async def deployments(settings: KubernetesSettings) -> AsyncIterator[Callable[..., DeploymentDriver]]:
    """Yield a function that makes drivers of Deployments; settings that it is given differ from those of the test."""
    made: list[DeploymentDriver] = []

    def make(**changed: Any) -> DeploymentDriver:
        made.append(DeploymentDriver(settings.model_copy(update=changed), SystemClock()))
        return made[-1]

    yield make
    for driver in made:
        await driver.close()


@pytest.fixture
async def single_pods(settings: KubernetesSettings) -> AsyncIterator[Callable[..., PodsDriver]]:
    """Yield a function that makes drivers of single Pods, in the same way."""
    made: list[PodsDriver] = []

    def make(**changed: Any) -> PodsDriver:
        made.append(PodsDriver(settings.model_copy(update=changed), SystemClock()))
        return made[-1]

    yield make
    for driver in made:
        await driver.close()

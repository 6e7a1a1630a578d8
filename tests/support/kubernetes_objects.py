"""Namespaces, Deployments and Pods for tests, on the cluster that KUBECONFIG names; Pods run on simulated nodes."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from tercio_common.testing.eventually import eventually
from tercio_scaling.drivers.cluster import Cluster, Json, NotThere
from tercio_scaling.drivers.kubernetes_settings import KubernetesSettings

SIMULATED: Final = {"type": "kwok"}
TAINT: Final = "kwok.x-k8s.io/node"
NO_NODES: Final = (
    "the cluster has no simulated node (label type=kwok): run kwok (https://kwok.sigs.k8s.io) beside it and make a node"
    f" with this label and the taint {TAINT}=fake:NoSchedule"
)
LABELS: Final = {"app": "agents"}


def pod_template(**spec: Any) -> dict[str, Any]:
    """Return a template of Pods that run on simulated nodes; `spec` is added to it."""
    return {
        "metadata": {"labels": LABELS},
        "spec": {
            "nodeSelector": SIMULATED,
            "tolerations": [{"key": TAINT, "operator": "Exists"}],
            "containers": [{"name": "agent", "image": "agent"}],
            **spec,
        },
    }


class Namespace:
    """A namespace of one test."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    @property
    def pods_path(self) -> str:
        """The path of its Pods."""
        return f"/api/v1/namespaces/{self.name}/pods"

    def deployment_path(self, name: str = "agents") -> str:
        """Return the path of a Deployment."""
        return f"/apis/apps/v1/namespaces/{self.name}/deployments/{name}"

    async def make_deployment(
        self, name: str = "agents", *, replicas: int = 0, finalizers: Sequence[str] = (), **template: Any
    ) -> None:
        """Make a Deployment and wait until its Pods run and its controller says so: it writes no more then.

        `template` is added to what the Pods' spec is.
        """
        labels = {"app": name}
        pod = pod_template(**template)
        pod["metadata"] = {"labels": labels, "finalizers": list(finalizers)}
        body = {
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod},
        }
        await self.cluster.ask("POST", f"/apis/apps/v1/namespaces/{self.name}/deployments", body=body)
        await self.until_running(replicas, of=name)

        async def is_settled() -> bool:
            return bool((await self.deployment(name))["status"].get("readyReplicas", 0) == replicas)

        await eventually(is_settled)

    async def deployment(self, name: str = "agents") -> Json:
        """Return a Deployment."""
        return await self.cluster.ask("GET", self.deployment_path(name))

    async def pods(self, *, of: str = "") -> dict[str, Json]:
        """Return all Pods, or those of a Deployment, by name; those that leave are included."""
        query = {"labelSelector": f"app={of}"} if of else {}
        items = (await self.cluster.ask("GET", self.pods_path, query=query))["items"]
        return {pod["metadata"]["name"]: pod for pod in items}

    async def running(self, *, of: str = "") -> set[str]:
        """Return the names of Pods that run and were not told to end."""
        return {
            name
            for name, pod in (await self.pods(of=of)).items()
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        }

    async def until_running(self, count: int, *, of: str = "") -> set[str]:
        """Wait until exactly that many Pods are there, and run; return their names."""

        async def all_run() -> bool:
            return len(await self.pods(of=of)) == count == len(await self.running(of=of))

        await eventually(all_run)
        return await self.running(of=of)


@contextlib.asynccontextmanager
async def own_namespace(kubeconfig: str) -> AsyncIterator[Namespace]:
    """Yield a namespace that nobody else has, and have it removed after the test."""
    cluster = Cluster(KubernetesSettings(kubeconfig=kubeconfig))
    name = f"tercio-test-{uuid.uuid4().hex[:10]}"
    await cluster.ask("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    try:
        yield Namespace(cluster, name)
    finally:
        await cluster.ask("DELETE", f"/api/v1/namespaces/{name}")
        await _release(Namespace(cluster, name))
        await cluster.close()


async def _release(namespace: Namespace) -> None:
    """Let every Pod go that a finalizer holds; from now on nobody makes another one."""

    async def release(name: str) -> None:
        with contextlib.suppress(NotThere):
            path = f"{namespace.pods_path}/{name}"
            await namespace.cluster.ask("PATCH", path, body={"metadata": {"finalizers": None}})

    held = [name for name, pod in (await namespace.pods()).items() if pod["metadata"].get("finalizers")]
    await namespace.cluster.each(release, held)


async def has_simulated_nodes(kubeconfig: str) -> bool:
    """Tell whether the cluster has nodes that only pretend to run Pods."""
    cluster = Cluster(KubernetesSettings(kubeconfig=kubeconfig))
    try:
        return bool((await cluster.ask("GET", "/api/v1/nodes", query={"labelSelector": "type=kwok"}))["items"])
    finally:
        await cluster.close()

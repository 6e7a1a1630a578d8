"""The Pods of an agent pool while they come and go, as the API server tells of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tercio_scaling.drivers.cluster import Cluster
from tercio_scaling.drivers.kubernetes_settings import KubernetesSettings

_LOOK_S: Final = 0.25


@dataclass(slots=True)
class AgentPods:
    """What was seen of a pool so far.

    Attributes:
        asked: every number of replicas that the Deployment was seen with, in order.
        running: names of the Pods that run and were not told to end, as seen last.
        most: the highest number of them at once.
        told_to_end: when each Pod that left was told to, in whole seconds.
    """

    asked: list[int] = field(default_factory=list)
    running: frozenset[str] = frozenset()
    most: int = 0
    told_to_end: dict[str, datetime] = field(default_factory=dict)

    def note(self, deployment: dict[str, Any], pods: list[dict[str, Any]]) -> None:
        """Take one look into account."""
        replicas = int(deployment["spec"]["replicas"])
        if not self.asked or self.asked[-1] != replicas:
            self.asked.append(replicas)
        leaving = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
        for pod in leaving:
            self.told_to_end.setdefault(pod["metadata"]["name"], _told(pod["metadata"]))
        self.running = frozenset(
            pod["metadata"]["name"] for pod in pods if pod not in leaving and pod["status"]["phase"] == "Running"
        )
        self.most = max(self.most, len(self.running))


def _told(metadata: dict[str, Any]) -> datetime:
    """Return when a Pod was told to end: what is written down is when it is killed."""
    ends = datetime.fromisoformat(metadata["deletionTimestamp"])
    return ends - timedelta(seconds=metadata["deletionGracePeriodSeconds"])


@contextlib.asynccontextmanager
async def watched_pods(kubeconfig: str, *, namespace: str, deployment: str) -> AsyncIterator[AgentPods]:
    """Yield what is seen of the Pods of a Deployment, which goes on while the context is open."""
    cluster, seen = Cluster(KubernetesSettings(kubeconfig=kubeconfig)), AgentPods()

    async def look() -> None:
        found = await cluster.ask("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
        labels = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
        pods = await cluster.ask("GET", f"/api/v1/namespaces/{namespace}/pods", query={"labelSelector": labels})
        seen.note(found, pods["items"])

    async def keep_looking() -> None:
        while True:
            await look()
            await asyncio.sleep(_LOOK_S)

    await look()
    looking = asyncio.ensure_future(keep_looking())
    try:
        yield seen
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        await cluster.close()

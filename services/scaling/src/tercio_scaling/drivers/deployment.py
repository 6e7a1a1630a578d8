"""Agents as the Pods of a Deployment: how many there are is its `replicas`.

Every scale is one patch of the Deployment itself: `replicas`, the leader's epoch and the `resourceVersion` that was
read (its `scale` subresource would drop the annotation). It is sent only if the epoch read is not above the leader's.

Who leaves is the ReplicaSet controller's choice. Victims get the lowest deletion cost before `replicas` goes down,
which it follows among Pods that are ready, unless it has not read the cost yet. So it is a wish, and what protects work
is that an agent drains when it is told to end.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from tercio_common.clock import Clock
from tercio_common.epochs import Epoch
from tercio_scaling.drivers.cluster import Cluster, Conflict, Json, NotThere, selector_text
from tercio_scaling.drivers.fencing import WRITES, admit, epoch_of, marked
from tercio_scaling.drivers.kubernetes_settings import KubernetesSettings
from tercio_scaling.drivers.pod_members import DELETION_COST, cost_changes, members_of
from tercio_scaling.drivers.protocol import Driver, Refused, Target, View, WriteConflict
from tercio_scaling.drivers.watching import Feed, changes_of

_ONE: Final = 1
"""Replicas of a Deployment that says nothing."""


def build(settings: Any, clock: Clock) -> Driver:
    """See `Factory`; of the settings of the service it takes `kubernetes`."""
    return DeploymentDriver(settings.kubernetes, clock)


class DeploymentDriver:
    """See `Driver`. The spec has `namespace` and `name`."""

    def __init__(self, settings: KubernetesSettings, clock: Clock) -> None:
        self._cluster = Cluster(settings)
        self._clock = clock
        self._choice_ms = settings.choice_ms

    async def fence(self, target: Target, epoch: Epoch) -> None:
        place = _Place.of(target)
        for _ in range(WRITES):
            deployment = await self._cluster.ask("GET", place.deployment)
            admit(deployment, epoch)
            if epoch_of(deployment) == epoch:
                return
            try:
                await self._cluster.ask("PATCH", place.deployment, body={"metadata": marked(deployment, epoch)})
            except Conflict:
                continue
            return
        raise WriteConflict(f"{place.deployment} changed during each of {WRITES} attempts to write the epoch")

    async def view(self, target: Target) -> View:
        place = _Place.of(target)
        deployment = await self._cluster.ask("GET", place.deployment)
        return _view(deployment, await self._pods(place, deployment))

    async def scale(self, target: Target, epoch: Epoch) -> View:
        place = _Place.of(target)
        deployment = await self._cluster.ask("GET", place.deployment)
        admit(deployment, epoch)
        if await self._mark_victims(place, deployment, target.victims):
            await self._clock.sleep_ms(self._choice_ms)
        deployment = await self._patch(place, target.agents, epoch)
        return _view(deployment, await self._pods(place, deployment))

    def changes(self, target: Target) -> AsyncIterator[None]:
        place = _Place.of(target)

        async def pods() -> dict[str, str]:
            deployment = await self._cluster.ask("GET", place.deployment)
            return {"labelSelector": selector_text(deployment["spec"]["selector"])}

        async def itself() -> dict[str, str]:
            return {"fieldSelector": f"metadata.name={place.name}"}

        feeds = (Feed(place.deployments, itself), Feed(place.pods, pods))
        return changes_of(self._cluster, self._clock, feeds)

    async def close(self) -> None:
        await self._cluster.close()

    async def _patch(self, place: _Place, agents: int, epoch: Epoch) -> Json:
        """Write replicas and epoch in one patch of what was read; return the Deployment."""
        for _ in range(WRITES):
            deployment = await self._cluster.ask("GET", place.deployment)
            admit(deployment, epoch)
            if _replicas(deployment) == agents and epoch_of(deployment) == epoch:
                return deployment
            body = {"metadata": marked(deployment, epoch), "spec": {"replicas": agents}}
            try:
                return await self._cluster.ask("PATCH", place.deployment, body=body)
            except Conflict:
                continue
        raise WriteConflict(f"{place.deployment} changed during each of {WRITES} attempts to scale it to {agents}")

    async def _mark_victims(self, place: _Place, deployment: Json, victims: tuple[str, ...]) -> bool:
        """Give victims the lowest costs, and former ones none; tell whether anything was to be written."""
        changes = cost_changes(await self._pods(place, deployment), victims)

        async def mark(change: tuple[str, str | None]) -> None:
            name, cost = change
            body = {"metadata": {"annotations": {DELETION_COST: cost}}}
            with contextlib.suppress(NotThere):  # it went by itself
                await self._cluster.ask("PATCH", f"{place.pods}/{name}", body=body)

        await self._cluster.each(mark, changes.items())
        return bool(changes)

    async def _pods(self, place: _Place, deployment: Json) -> list[Json]:
        query = {"labelSelector": selector_text(deployment["spec"]["selector"])}
        found: list[Json] = (await self._cluster.ask("GET", place.pods, query=query))["items"]
        return found


class _Place(NamedTuple):
    """Where the Deployment is."""

    namespace: str
    name: str

    @classmethod
    def of(cls, target: Target) -> _Place:
        """Read the declared text; without both words it is refused."""
        namespace, name = target.spec.get("namespace"), target.spec.get("name")
        if not (isinstance(namespace, str) and namespace and isinstance(name, str) and name):
            raise Refused(f"pool {target.pool_id} names no Deployment; set namespace and name", reason="Invalid")
        return cls(namespace, name)

    @property
    def deployments(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments"

    @property
    def deployment(self) -> str:
        return f"{self.deployments}/{self.name}"

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"


def _replicas(deployment: Json) -> int:
    return int(deployment["spec"].get("replicas", _ONE))


def _view(deployment: Json, pods: list[Json]) -> View:
    return View(_replicas(deployment), members_of(pods), deployment["metadata"]["resourceVersion"])

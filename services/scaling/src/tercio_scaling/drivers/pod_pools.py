"""What the driver of single Pods writes: the Pods of a pool, and the record of what is asked of it.

The record is a ConfigMap. It holds how many agents are asked for and, as an annotation, the epoch of who asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tercio_common.epochs import Epoch
from tercio_scaling.drivers.cluster import Json
from tercio_scaling.drivers.fencing import EPOCH_ANNOTATION
from tercio_scaling.drivers.protocol import Refused, Target

POOL_LABEL: Final = "tercio.dev/pool"
DRIVER_LABEL: Final = "tercio.dev/driver"
"""Tells them from Pods that a Deployment keeps for a pool of the same name."""
DRIVER: Final = "pods"
GATE: Final = "tercio.dev/epoch"
"""The scheduling gate of a Pod that was made and not confirmed: it runs nowhere."""
AGENTS: Final = "agents"
POOL: Final = "pool"
_PREFIX_LENGTH: Final = 50
"""A Pod's name is a host's name, of at most 63 characters, and the API server adds five."""
_FINISHED: Final = frozenset({"Failed", "Succeeded"})


class PodPool(NamedTuple):
    """Where the Pods of a pool are, and what one is like.

    Attributes:
        pool_id: the pool.
        namespace: of its Pods and its record.
        template: a PodTemplateSpec.
    """

    pool_id: str
    namespace: str
    template: Mapping[str, Any]

    @classmethod
    def of(cls, target: Target) -> PodPool:
        """Read the declared text.

        Raises:
            Refused: it lacks the namespace or the template, or the template is none.
        """
        namespace, template = target.spec.get("namespace"), target.spec.get("template")
        if not (isinstance(namespace, str) and namespace):
            raise Refused(f"pool {target.pool_id} names no namespace", reason="Invalid")
        if not (isinstance(template, Mapping) and isinstance(template.get("spec"), Mapping)):
            raise Refused(f"the template of pool {target.pool_id} is no Pod template with a spec", reason="Invalid")
        return cls(target.pool_id, namespace, template)

    @property
    def pods(self) -> str:
        """Return the path of all Pods there."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def records(self) -> str:
        """Return the path of all ConfigMaps there."""
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    @property
    def record_name(self) -> str:
        """Return the name of the pool's record."""
        return f"tercio-pool-{_as_name(self.pool_id)}"

    @property
    def record(self) -> str:
        """Return the path of the pool's record."""
        return f"{self.records}/{self.record_name}"

    @property
    def selector(self) -> dict[str, str]:
        """Return the query for the pool's Pods."""
        return {"labelSelector": f"{POOL_LABEL}={self.pool_id},{DRIVER_LABEL}={DRIVER}"}

    def new_record(self, epoch: Epoch) -> Json:
        """Return the record of a pool of which nothing was asked yet."""
        return {
            "metadata": {"name": self.record_name, "annotations": {EPOCH_ANNOTATION: str(epoch)}},
            "data": {POOL: self.pool_id, AGENTS: "0"},
        }

    def new_pod(self, epoch: Epoch) -> Json:
        """Return a Pod as it is made: behind its gate."""
        metadata, spec = self.template.get("metadata") or {}, self.template["spec"]
        gates = [*(spec.get("schedulingGates") or ()), {"name": GATE}]
        return {
            "metadata": {
                "generateName": f"{_as_name(self.pool_id)[:_PREFIX_LENGTH]}-",
                "labels": {**(metadata.get("labels") or {}), POOL_LABEL: self.pool_id, DRIVER_LABEL: DRIVER},
                "annotations": {**(metadata.get("annotations") or {}), EPOCH_ANNOTATION: str(epoch)},
                "finalizers": list(metadata.get("finalizers") or ()),
            },
            "spec": {**spec, "schedulingGates": gates},
        }

    def asked(self, record: Json) -> int:
        """Return how many agents are asked for.

        Raises:
            Refused: the record is another pool's, or was written by somebody else.
        """
        data = record.get("data") or {}
        agents = data.get(AGENTS, "")
        if data.get(POOL) != self.pool_id or not agents.isdecimal():
            raise Refused(
                f"ConfigMap {self.record_name} is not the record of pool {self.pool_id}: pool ids that differ only in"
                " case or punctuation need namespaces of their own",
                reason="Invalid",
            )
        return int(agents)


def finished(pod: Json) -> bool:
    """Tell whether a Pod ended and will not run again."""
    return (pod.get("status") or {}).get("phase") in _FINISHED


def gates_of(pod: Json) -> list[str]:
    """Return the names of a Pod's scheduling gates."""
    return [gate["name"] for gate in pod["spec"].get("schedulingGates") or ()]


def _as_name(pool_id: str) -> str:
    """Return a pool's id as Kubernetes takes names; ids that differ may come to the same."""
    return re.sub(r"[^a-z0-9]+", "-", pool_id.lower()).strip("-") or "pool"

"""How agents of a pool come and go: contract to a driver's name and text, and back."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio_common.rpc.violations import Violations
from tercio_scaling.state.rows import EXTERNAL
from tercio_scaling.translate.fields import object_of, text_of, texts_of

_MOST_ARGUMENT: Final = 4_096
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
OWN: Final = frozenset({"local", "deployment", "pods", EXTERNAL})
"""Drivers that the contract names."""


def driver_of(pool: agent_pool_pb2.AgentPool, found: Violations) -> tuple[str, str]:
    """Return the name of a pool's driver and what that is told, and note what is wrong."""
    kind = pool.WhichOneof("driver")
    match kind:
        case "local":
            return "local", text_of(_local(pool.local, found))
        case "deployment":
            found.check_pattern("pool.deployment.namespace", pool.deployment.namespace, _NAMESPACE)
            found.check_pattern("pool.deployment.name", pool.deployment.name, _NAME)
            return "deployment", text_of({"namespace": pool.deployment.namespace, "name": pool.deployment.name})
        case "pods":
            found.check_pattern("pool.pods.namespace", pool.pods.namespace, _NAMESPACE)
            template = object_of("pool.pods.template_json", pool.pods.template_json, found)
            found.check("pool.pods.template_json", "spec" in template, "must have a `spec`, as a PodTemplateSpec has")
            return "pods", text_of({"namespace": pool.pods.namespace, "template": template})
        case "external":
            return EXTERNAL, "{}"
        case "added":
            found.check_id("pool.added.name", pool.added.name)
            found.check("pool.added.name", pool.added.name not in OWN, f"{pool.added.name!r} has a field of its own")
            return pool.added.name, text_of(object_of("pool.added.spec_json", pool.added.spec_json, found))
        case _:
            found.add("pool.driver", "one of local, deployment, pods, external and added is needed")
            return EXTERNAL, "{}"


def _local(local: agent_pool_pb2.AgentPool.Local, found: Violations) -> dict[str, Any]:
    found.check_length("pool.local.command", local.command, least=1, most=100, unit="arguments")
    for index, argument in enumerate(local.command):
        found.check_length(f"pool.local.command[{index}]", argument, most=_MOST_ARGUMENT)
    found.check_length("pool.local.directory", local.directory, most=_MOST_ARGUMENT)
    environment = texts_of("pool.local.environment", local.environment, found, most=_MOST_ARGUMENT)
    return {"command": list(local.command), "environment": environment, "directory": local.directory}


def set_driver(pool: agent_pool_pb2.AgentPool, driver: str, spec: str) -> None:
    """Set the driver of a pool as the contract has it."""
    told = json.loads(spec)
    match driver:
        case "local":
            pool.local.MergeFrom(agent_pool_pb2.AgentPool.Local(**told))
        case "deployment":
            pool.deployment.MergeFrom(agent_pool_pb2.AgentPool.Deployment(**told))
        case "pods":
            pool.pods.namespace, pool.pods.template_json = told["namespace"], text_of(told["template"])
        case "external":
            pool.external.SetInParent()
        case _:
            pool.added.name, pool.added.spec_json = driver, spec

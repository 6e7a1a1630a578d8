"""What the drivers may do: the rules that the service's page lists are enough, and nothing beside them is tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.kubernetes_objects import Namespace, pod_template
from tercio_common.epochs import Epoch
from tercio_scaling.drivers.deployment import DeploymentDriver
from tercio_scaling.drivers.pods import PodsDriver
from tercio_scaling.drivers.protocol import Refused, Target

EPOCH = Epoch(1, 1)
RBAC = "/apis/rbac.authorization.k8s.io/v1"
FOR_DEPLOYMENTS = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["agents"]}
    | {"verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "patch"]},
]
FOR_PODS = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]},
]


@pytest.fixture
def account(namespace: Namespace, kubeconfig: str, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that makes a service account with rules, and the file by which it calls."""
    found = yaml.safe_load(Path(kubeconfig).read_text())

    async def make(rules: list[dict[str, Any]]) -> str:
        ask, name = namespace.cluster.ask, namespace.name
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        await ask("POST", accounts, body={"metadata": {"name": "scaling"}})
        await ask("POST", f"{RBAC}/namespaces/{name}/roles", body={"metadata": {"name": "scaling"}, "rules": rules})
        binding = {
            "metadata": {"name": "scaling"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "scaling"},
            "subjects": [{"kind": "ServiceAccount", "name": "scaling", "namespace": name}],
        }
        await ask("POST", f"{RBAC}/namespaces/{name}/rolebindings", body=binding)
        token = (await ask("POST", f"{accounts}/scaling/token", body={"spec": {}}))["status"]["token"]
        for user in found["users"]:
            user["user"] = {"token": token}
        written = tmp_path / "account.json"
        written.write_text(json.dumps(found))
        return str(written)

    return make


async def test_a_role_over_one_deployment_and_its_pods_is_enough(
    namespace: Namespace, account: Callable[..., Any], deployments: Callable[..., DeploymentDriver]
) -> None:
    await namespace.make_deployment(replicas=2)
    victim = min(await namespace.running())
    driver = deployments(kubeconfig=await account(FOR_DEPLOYMENTS))
    target = Target("pool", {"namespace": namespace.name, "name": "agents"}, 1, (victim,))
    changes = driver.changes(target)
    await anext(changes)
    await driver.fence(target, EPOCH)
    await driver.scale(target, EPOCH)
    assert victim not in await namespace.until_running(1)
    await anext(changes)
    await changes.aclose()  # type: ignore[attr-defined]
    with pytest.raises(Refused) as refused:
        await driver.view(Target("pool", {"namespace": namespace.name, "name": "others"}, 1))
    assert refused.value.reason == "Forbidden"


async def test_a_role_over_pods_and_config_maps_is_enough(
    namespace: Namespace, account: Callable[..., Any], single_pods: Callable[..., PodsDriver]
) -> None:
    driver = single_pods(kubeconfig=await account(FOR_PODS))
    target = Target("crew", {"namespace": namespace.name, "template": pod_template()}, 2)
    changes = driver.changes(target)
    await anext(changes)
    await driver.fence(target, EPOCH)
    await driver.scale(target, EPOCH)
    names = await namespace.until_running(2)
    await driver.fence(target, Epoch(1, 2))
    await driver.scale(target._replace(agents=0, victims=tuple(names)), Epoch(1, 2))
    await namespace.until_running(0)
    await changes.aclose()  # type: ignore[attr-defined]

"""A Deployment's Pods as agents: how many there are, which of them leave, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest

from support.api_server_proxy import ApiServerProxy, answering
from support.kubernetes_objects import Namespace
from support.recorded_answers import FORBIDDEN
from tercio_common.epochs import Epoch
from tercio_common.testing.eventually import eventually
from tercio_scaling.drivers.deployment import DeploymentDriver
from tercio_scaling.drivers.fencing import EPOCH_ANNOTATION
from tercio_scaling.drivers.pod_members import DELETION_COST
from tercio_scaling.drivers.protocol import RUNNING, Fenced, Refused, Target

Make = Callable[..., DeploymentDriver]
EPOCH, LATER = Epoch(1, 10), Epoch(1, 11)
CHOICE_MS = 5_000
"""Where who leaves is what is asked: time for a controller on a slow machine to read who was chosen."""


def target(namespace: Namespace, agents: int, *victims: str, name: str = "agents") -> Target:
    return Target("pool", {"namespace": namespace.name, "name": name}, agents, victims)


async def test_a_scale_is_one_patch_of_the_deployment_with_version_epoch_and_replicas(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make
) -> None:
    await namespace.make_deployment(replicas=1)
    driver = deployments()
    await driver.fence(target(namespace, 1), EPOCH)
    view = await driver.scale(target(namespace, 4), EPOCH)
    # A patch is sent again when the controllers wrote in between.
    patches = [patch for patch in proxy.passed("PATCH", "") if patch.status == HTTPStatus.OK]
    assert [patch.path for patch in patches] == [namespace.deployment_path()] * 2
    read = proxy.passed("GET", "/deployments/")[-1].said["metadata"]["resourceVersion"]
    assert patches[-1].sent == {
        "metadata": {"resourceVersion": read, "annotations": {EPOCH_ANNOTATION: "1.10"}},
        "spec": {"replicas": 4},
    }
    assert (view.asked, view.version) == (4, patches[-1].said["metadata"]["resourceVersion"])
    names = await namespace.until_running(4)
    members = (await driver.view(target(namespace, 4))).members
    assert {member.agent_id for member in members} == names
    assert {member.phase for member in members} == {RUNNING}


async def test_a_deployment_scales_to_zero_and_wakes(namespace: Namespace, deployments: Make) -> None:
    await namespace.make_deployment(replicas=2)
    driver = deployments()
    await driver.scale(target(namespace, 0, *await namespace.running()), EPOCH)
    await namespace.until_running(0)
    assert await driver.view(target(namespace, 0)) == (
        0,
        (),
        (await namespace.deployment())["metadata"]["resourceVersion"],
    )
    await driver.scale(target(namespace, 1), EPOCH)
    await namespace.until_running(1)


async def test_the_chosen_ones_leave(namespace: Namespace, deployments: Make, seed: int) -> None:
    await namespace.make_deployment(replicas=6)
    names = sorted(await namespace.running())
    victims = names[1], names[4]
    await deployments(choice_ms=CHOICE_MS).scale(target(namespace, 4, *victims), EPOCH)
    assert await namespace.until_running(4) == set(names) - set(victims)


async def test_who_is_chosen_no_more_is_as_dear_as_before(namespace: Namespace, deployments: Make) -> None:
    await namespace.make_deployment(replicas=3)
    first, second, third = sorted(await namespace.running())
    driver = deployments(choice_ms=CHOICE_MS)
    await driver.scale(target(namespace, 3, first), EPOCH)
    assert DELETION_COST in (await namespace.pods())[first]["metadata"]["annotations"]
    await driver.scale(target(namespace, 2, third), EPOCH)
    assert await namespace.until_running(2) == {first, second}
    assert DELETION_COST not in (await namespace.pods())[first]["metadata"].get("annotations", {})


async def test_what_people_wrote_of_a_pods_cost_stays(namespace: Namespace, deployments: Make) -> None:
    await namespace.make_deployment(replicas=2)
    first, second = sorted(await namespace.running())
    body = {"metadata": {"annotations": {DELETION_COST: "-7"}}}
    await namespace.cluster.ask("PATCH", f"{namespace.pods_path}/{first}", body=body)
    await deployments(choice_ms=CHOICE_MS).scale(target(namespace, 1, second), EPOCH)
    assert await namespace.until_running(1) == {first}
    assert (await namespace.pods())[first]["metadata"]["annotations"][DELETION_COST] == "-7"


async def test_asking_for_what_is_there_writes_nothing(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make
) -> None:
    await namespace.make_deployment()
    driver = deployments()
    await driver.fence(target(namespace, 0), EPOCH)
    written = len(proxy.passed("PATCH", ""))
    await driver.fence(target(namespace, 0), EPOCH)
    await driver.scale(target(namespace, 0), EPOCH)
    assert len(proxy.passed("PATCH", "")) == written


async def test_an_older_leader_neither_fences_nor_scales(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make
) -> None:
    await namespace.make_deployment(replicas=1)
    await deployments().fence(target(namespace, 1), LATER)
    written = len(proxy.passed("PATCH", ""))
    older = deployments()
    with pytest.raises(Fenced, match=r"epoch 1\.11, this leader's is 1\.10"):
        await older.fence(target(namespace, 1), EPOCH)
    with pytest.raises(Fenced):
        await older.scale(target(namespace, 3), EPOCH)
    assert len(proxy.passed("PATCH", "")) == written
    await deployments().scale(target(namespace, 2), Epoch(2, 1))
    with pytest.raises(Fenced):
        await deployments().scale(target(namespace, 3), LATER)
    assert (await namespace.deployment())["spec"]["replicas"] == 2


async def test_an_epoch_that_is_none_is_refused(namespace: Namespace, deployments: Make) -> None:
    await namespace.make_deployment()
    body = {"metadata": {"annotations": {EPOCH_ANNOTATION: "today"}}}
    await namespace.cluster.ask("PATCH", namespace.deployment_path(), body=body)
    with pytest.raises(Refused, match="somebody else wrote it") as refused:
        await deployments().scale(target(namespace, 1), EPOCH)
    assert refused.value.reason == "InvalidEpoch"


async def test_a_deployment_that_is_not_there_or_not_named_is_refused(namespace: Namespace, deployments: Make) -> None:
    with pytest.raises(Refused, match='"absent" not found') as refused:
        await deployments().view(target(namespace, 1, name="absent"))
    assert refused.value.reason == "NotFound"
    with pytest.raises(Refused, match="set namespace and name") as refused:
        await deployments().fence(Target("pool", {}, 1), EPOCH)
    assert refused.value.reason == "Invalid"


async def test_what_the_role_does_not_allow_is_refused(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make
) -> None:
    await namespace.make_deployment()
    proxy.do(answering(FORBIDDEN), "PATCH", "/deployments/")
    with pytest.raises(Refused, match="cannot patch resource") as refused:
        await deployments().scale(target(namespace, 1), EPOCH)
    assert refused.value.reason == "Forbidden"


async def test_without_a_cluster_it_says_how_to_name_one(
    deployments: Make, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Refused, match="set KUBECONFIG") as refused:
        await deployments(kubeconfig=f"{tmp_path}/absent").view(Target("pool", {"namespace": "a", "name": "b"}, 1))
    assert refused.value.reason == "NoCluster"


async def test_a_pod_that_cannot_start_has_failed(namespace: Namespace, deployments: Make) -> None:
    await namespace.make_deployment(replicas=1)
    (name,) = await namespace.running()
    waiting = {"name": "agent", "ready": False, "restartCount": 3, "image": "agent", "imageID": ""}
    body = {"status": {"containerStatuses": [{**waiting, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}
    await namespace.cluster.ask("PATCH", f"{namespace.pods_path}/{name}/status", body=body)
    driver = deployments()

    async def phase() -> bool:
        return [member.phase for member in (await driver.view(target(namespace, 1))).members] == ["failed"]

    await eventually(phase)

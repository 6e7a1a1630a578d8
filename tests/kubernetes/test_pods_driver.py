"""Single Pods as agents: exactly the chosen one leaves, and whoever was replaced neither adds nor removes one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from support.api_server_proxy import ApiServerProxy, Gate, answering, unanswered
from support.kubernetes_objects import LABELS, Namespace, pod_template
from support.recorded_answers import CONFLICT, NO_LEADER
from tercio_common.epochs import Epoch
from tercio_common.testing.eventually import eventually
from tercio_scaling.drivers.fencing import EPOCH_ANNOTATION, WRITES
from tercio_scaling.drivers.pod_pools import DRIVER_LABEL, GATE, POOL_LABEL, gates_of
from tercio_scaling.drivers.pods import PodsDriver
from tercio_scaling.drivers.protocol import Fenced, Refused, Target, Unavailable, WriteConflict

Make = Callable[..., PodsDriver]
EPOCH, LATER = Epoch(1, 10), Epoch(1, 11)


def target(namespace: Namespace, agents: int, *victims: str, pool: str = "Crew_1") -> Target:
    return Target(pool, {"namespace": namespace.name, "template": pod_template()}, agents, victims)


async def gated(namespace: Namespace) -> list[str]:
    return [name for name, pod in (await namespace.pods()).items() if GATE in gates_of(pod)]


async def test_pods_are_made_from_the_template_and_run(namespace: Namespace, single_pods: Make) -> None:
    driver = single_pods()
    await driver.fence(target(namespace, 3), EPOCH)
    assert (await driver.view(target(namespace, 3)))[:2] == (0, ())
    assert (await driver.scale(target(namespace, 3), EPOCH)).asked == 3
    names = await namespace.until_running(3)
    pod = (await namespace.pods())[min(names)]
    assert pod["metadata"]["name"].startswith("crew-1-")
    assert pod["metadata"]["labels"] == {**LABELS, POOL_LABEL: "Crew_1", DRIVER_LABEL: "pods"}
    assert pod["metadata"]["annotations"][EPOCH_ANNOTATION] == "1.10"
    assert {member.agent_id for member in (await driver.view(target(namespace, 3))).members} == names


async def test_exactly_the_chosen_ones_leave(namespace: Namespace, proxy: ApiServerProxy, single_pods: Make) -> None:
    driver = single_pods()
    await driver.scale(target(namespace, 6), EPOCH)
    names = sorted(await namespace.until_running(6))
    victims = names[4], names[0]
    await driver.scale(target(namespace, 4, *victims), EPOCH)
    assert await namespace.until_running(4) == set(names) - set(victims)
    assert {tuple(sorted(one.sent["preconditions"])) for one in proxy.passed("DELETE", "/pods/")} == {
        ("resourceVersion", "uid")
    }


async def test_no_more_leave_than_are_asked_to_and_the_first_go_first(namespace: Namespace, single_pods: Make) -> None:
    driver = single_pods()
    await driver.scale(target(namespace, 3), EPOCH)
    first, second, third = await namespace.until_running(3)
    await driver.scale(target(namespace, 2, second, first), EPOCH)
    assert await namespace.until_running(2) == {first, third}


async def test_a_running_pod_that_was_not_chosen_stays(namespace: Namespace, single_pods: Make) -> None:
    driver = single_pods()
    await driver.scale(target(namespace, 2), EPOCH)
    names = await namespace.until_running(2)
    view = await driver.scale(target(namespace, 0), EPOCH)
    assert (view.asked, len(view.members)) == (2, 2)
    assert await namespace.running() == names
    await driver.scale(target(namespace, 0, *names), EPOCH)
    await namespace.until_running(0)


async def test_what_does_not_run_yet_goes_before_what_runs(namespace: Namespace, single_pods: Make) -> None:
    spec = {"namespace": namespace.name, "template": pod_template(nodeSelector={"type": "nowhere"})}
    driver = single_pods()
    await driver.scale(target(namespace, 1), EPOCH)
    running = await namespace.until_running(1)
    await driver.scale(target(namespace, 3)._replace(spec=spec), EPOCH)
    assert len(await namespace.pods()) == 3
    await driver.scale(target(namespace, 1), EPOCH)
    assert await namespace.until_running(1) == running


async def test_a_pod_that_ended_is_replaced(namespace: Namespace, single_pods: Make) -> None:
    driver = single_pods()
    await driver.scale(target(namespace, 2), EPOCH)
    ended = min(await namespace.until_running(2))
    path = f"{namespace.pods_path}/{ended}/status"
    await namespace.cluster.ask("PATCH", path, body={"status": {"phase": "Failed"}})
    await driver.scale(target(namespace, 2), EPOCH)
    assert ended not in await namespace.until_running(2)


async def test_another_pod_of_the_same_name_is_left_alone(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    driver = single_pods()
    await driver.scale(target(namespace, 1), EPOCH)
    (name,) = await namespace.until_running(1)
    pod = (await namespace.pods())[name]
    gate = Gate()
    proxy.do(gate, "DELETE", "/pods/", times=1)
    removing = asyncio.create_task(driver.scale(target(namespace, 0, name), EPOCH))
    await gate.held.wait()
    await namespace.cluster.ask("DELETE", f"{namespace.pods_path}/{name}")
    await namespace.until_running(0)
    again = {"metadata": {"name": name, "labels": pod["metadata"]["labels"]}, "spec": pod_template()["spec"]}
    await namespace.cluster.ask("POST", namespace.pods_path, body=again)
    gate.open()
    await removing
    assert [one.status for one in proxy.passed("DELETE", "/pods/")] == [409]
    assert await namespace.until_running(1) == {name}


async def test_a_replaced_leader_that_makes_a_pod_too_late_does_not_let_it_run(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    stale, fresh = single_pods(), single_pods()
    gate = Gate()
    proxy.do(gate, "POST", "/pods$", times=1)
    scaling = asyncio.create_task(stale.scale(target(namespace, 1), EPOCH))
    await gate.held.wait()
    await fresh.fence(target(namespace, 0), LATER)
    gate.open()
    with pytest.raises(Fenced):
        await scaling
    assert [one.status for one in proxy.passed("POST", "/pods$")] == [201]
    await namespace.until_running(0)


async def test_a_replaced_leader_does_not_let_through_what_it_made(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    stale, fresh = single_pods(), single_pods()
    gate = Gate()
    rule = proxy.do(gate, "PATCH", "/pods/", times=1)
    scaling = asyncio.create_task(stale.scale(target(namespace, 1), EPOCH))
    await gate.held.wait()
    assert rule.left == 0
    await fresh.fence(target(namespace, 0), LATER)
    gate.open()
    with pytest.raises(Fenced):
        await scaling
    assert [one.status for one in proxy.passed("PATCH", "/pods/")] == [200, 409]
    assert len(await gated(namespace)) == 1
    await fresh.scale(target(namespace, 1), LATER)
    await namespace.until_running(1)


async def test_a_replaced_leader_does_not_delete(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    stale, fresh = single_pods(), single_pods()
    await stale.scale(target(namespace, 1), EPOCH)
    (name,) = await namespace.until_running(1)
    gate = Gate()
    proxy.do(gate, "DELETE", "/pods/", times=1)
    scaling = asyncio.create_task(stale.scale(target(namespace, 0, name), EPOCH))
    await gate.held.wait()
    await fresh.fence(target(namespace, 1), LATER)
    gate.open()
    with pytest.raises(Fenced):
        await scaling
    assert [one.status for one in proxy.passed("DELETE", "/pods/")] == [409]
    assert await namespace.running() == {name}


async def test_what_an_older_leader_left_behind_its_gate_is_removed(namespace: Namespace, single_pods: Make) -> None:
    driver = single_pods()
    await driver.fence(target(namespace, 0), LATER)
    labels = {POOL_LABEL: "Crew_1", DRIVER_LABEL: "pods"}
    stray = {
        "metadata": {"generateName": "crew-1-", "labels": labels, "annotations": {EPOCH_ANNOTATION: str(EPOCH)}},
        "spec": {**pod_template()["spec"], "schedulingGates": [{"name": GATE}]},
    }
    await namespace.cluster.ask("POST", namespace.pods_path, body=stray)
    await driver.scale(target(namespace, 0), LATER)
    await namespace.until_running(0)


async def test_what_a_leader_could_not_let_through_runs_after_the_next_scale(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    driver = single_pods()
    proxy.do(answering(NO_LEADER), "PATCH", "/pods/")
    with pytest.raises(Unavailable):
        await driver.scale(target(namespace, 2), EPOCH)
    assert len(await gated(namespace)) == 2
    proxy.heal()
    assert (await driver.view(target(namespace, 2))).asked == 0
    await driver.scale(target(namespace, 2), EPOCH)
    await namespace.until_running(2)


async def test_a_pod_whose_making_was_not_answered_counts(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    driver = single_pods()
    proxy.do(unanswered, "POST", "/pods$", times=1)
    with pytest.raises(Unavailable):
        await driver.scale(target(namespace, 1), EPOCH)
    await driver.scale(target(namespace, 1), EPOCH)
    await namespace.until_running(1)


async def test_a_record_that_two_leaders_make_at_once_has_the_later_epoch(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    stale, fresh = single_pods(), single_pods()
    gate = Gate()
    proxy.do(gate, "POST", "/configmaps$", times=1)
    fencing = asyncio.create_task(stale.fence(target(namespace, 0), EPOCH))
    await gate.held.wait()
    await fresh.fence(target(namespace, 0), LATER)
    gate.open()
    with pytest.raises(Fenced):
        await fencing
    assert [one.status for one in proxy.passed("POST", "/configmaps$")] == [201, 409]


async def test_a_record_that_others_write_all_the_time_is_told(
    namespace: Namespace, proxy: ApiServerProxy, single_pods: Make
) -> None:
    driver = single_pods()
    await driver.fence(target(namespace, 0), EPOCH)
    rule = proxy.do(answering(CONFLICT), "PATCH", "/configmaps/")
    before = rule.left
    with pytest.raises(WriteConflict, match="changed during each of 5 attempts"):
        await driver.scale(target(namespace, 1), EPOCH)
    assert before - rule.left == WRITES


async def test_pools_whose_records_would_be_one_are_refused(namespace: Namespace, single_pods: Make) -> None:
    driver = single_pods()
    await driver.fence(target(namespace, 0, pool="Crew_1"), EPOCH)
    with pytest.raises(Refused, match="need namespaces of their own") as refused:
        await driver.scale(target(namespace, 1, pool="crew-1"), EPOCH)
    assert refused.value.reason == "Invalid"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({"template": {"spec": {}}}, "names no namespace", id="no-namespace"),
        pytest.param({"namespace": "a"}, "no Pod template", id="no-template"),
        pytest.param({"namespace": "a", "template": {"metadata": {}}}, "no Pod template", id="no-spec"),
    ],
)
async def test_a_pool_without_what_a_pod_is_like_is_refused(
    single_pods: Make, spec: dict[str, object], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        await single_pods().view(Target("crew", spec, 1))


async def test_a_template_that_the_server_does_not_take_is_refused(namespace: Namespace, single_pods: Make) -> None:
    spec = {"namespace": namespace.name, "template": {"spec": {"containers": []}}}
    with pytest.raises(Refused, match=r"spec\.containers") as refused:
        await single_pods().scale(Target("crew", spec, 1), EPOCH)
    assert refused.value.reason == "Invalid"


async def test_a_pod_that_ends_by_itself_is_told(namespace: Namespace, single_pods: Make) -> None:
    driver = single_pods()
    await driver.scale(target(namespace, 1), EPOCH)
    (name,) = await namespace.until_running(1)
    changes = driver.changes(target(namespace, 1))
    await anext(changes)
    await namespace.cluster.ask("DELETE", f"{namespace.pods_path}/{name}")

    async def gone() -> bool:
        return not (await driver.view(target(namespace, 1))).members

    await anext(changes)
    await eventually(gone)
    await changes.aclose()  # type: ignore[attr-defined]

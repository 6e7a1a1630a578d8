"""What an API server and the way to it can do to a scale: nothing is written twice, late or half."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.api_server_proxy import ApiServerProxy, Fault, Gate, answering, kubeconfig_for, silent, unanswered
from support.kubernetes_objects import Namespace
from support.recorded_answers import CONFLICT, DISRUPTION_BUDGET, NO_LEADER, OVERLOADED, TIMED_OUT
from tercio_common.epochs import Epoch
from tercio_common.testing.eventually import eventually
from tercio_scaling.drivers.deployment import DeploymentDriver
from tercio_scaling.drivers.fencing import WRITES
from tercio_scaling.drivers.protocol import Target, Unavailable, WriteConflict

Make = Callable[..., DeploymentDriver]
EPOCH = Epoch(1, 10)
SHORT_MS = 300


@pytest.fixture
async def target(namespace: Namespace) -> Target:
    await namespace.make_deployment(replicas=1)
    return Target("pool", {"namespace": namespace.name, "name": "agents"}, 3)


@pytest.fixture
def kubeconfig_to_nowhere(tmp_path: Path) -> Iterator[str]:
    """Yield a file that leads to a port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        written = tmp_path / "nowhere.json"
        written.write_text(json.dumps(kubeconfig_for(f"http://127.0.0.1:{bound.getsockname()[1]}")))
        yield str(written)


async def test_a_conflict_is_read_again_and_written_again(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make
) -> None:
    rule = proxy.do(answering(CONFLICT), "PATCH", "/deployments/", times=WRITES - 1)
    assert (await deployments().scale(target, EPOCH)).asked == 3
    assert rule.left == 0
    assert (await namespace.deployment())["spec"]["replicas"] == 3


async def test_endless_conflicts_are_told(target: Target, proxy: ApiServerProxy, deployments: Make) -> None:
    proxy.do(answering(CONFLICT), "PATCH", "/deployments/")
    with pytest.raises(WriteConflict, match="during each of 5 attempts to scale it to 3"):
        await deployments().scale(target, EPOCH)
    with pytest.raises(WriteConflict, match="during each of 5 attempts to write the epoch"):
        await deployments().fence(target, EPOCH)


async def test_somebody_who_writes_in_between_is_seen(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make
) -> None:
    gate = Gate()
    proxy.do(gate, "PATCH", "/deployments/", times=1)
    scaling = asyncio.create_task(deployments().scale(target, EPOCH))
    await gate.held.wait()
    await namespace.cluster.ask("PATCH", namespace.deployment_path(), body={"metadata": {"labels": {"by": "people"}}})
    gate.open()
    assert (await scaling).asked == 3
    assert [patch.status for patch in proxy.passed("PATCH", "/deployments/")] == [409, 200]
    assert (await namespace.deployment())["metadata"]["labels"] == {"by": "people"}


@pytest.mark.parametrize(
    ("fault", "retry_after_ms"),
    [
        pytest.param(answering(OVERLOADED), 1_000, id="429-of-priority-and-fairness"),
        pytest.param(answering(DISRUPTION_BUDGET), 0, id="429-without-a-time"),
        pytest.param(answering(NO_LEADER), 0, id="500"),
        pytest.param(answering(TIMED_OUT), 0, id="504"),
        pytest.param(silent, 0, id="no-answer"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_what_passes_by_is_unavailable_and_writes_nothing(
    namespace: Namespace,
    target: Target,
    proxy: ApiServerProxy,
    deployments: Make,
    fault: Fault,
    retry_after_ms: int,
    method: str,
) -> None:
    driver = deployments(call_timeout_ms=SHORT_MS) if fault is silent else deployments()
    proxy.do(fault, method, "/deployments/")
    with pytest.raises(Unavailable) as unavailable:
        await driver.scale(target, EPOCH)
    assert unavailable.value.retry_after_ms == retry_after_ms
    assert (await namespace.deployment())["spec"]["replicas"] == 1
    proxy.heal()
    assert (await driver.scale(target, EPOCH)).asked == 3


async def test_a_server_that_is_not_there_is_unavailable(
    target: Target, deployments: Make, kubeconfig_to_nowhere: str
) -> None:
    with pytest.raises(Unavailable, match="the API server is not reached"):
        await deployments(kubeconfig=kubeconfig_to_nowhere).view(target)


async def test_a_write_without_an_answer_is_not_done_twice(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make
) -> None:
    driver = deployments()
    proxy.do(unanswered, "PATCH", "/deployments/", times=1)
    with pytest.raises(Unavailable):
        await driver.scale(target, EPOCH)
    assert (await namespace.deployment())["spec"]["replicas"] == 3
    assert (await driver.scale(target, EPOCH)).asked == 3
    assert len(proxy.passed("PATCH", "/deployments/")) == 1
    await namespace.until_running(3)


async def test_a_write_that_comes_late_does_not_undo_a_later_one(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make
) -> None:
    driver = deployments(call_timeout_ms=SHORT_MS)
    gate = Gate()
    proxy.do(gate, "PATCH", "/deployments/", times=1)
    with pytest.raises(Unavailable):
        await driver.scale(target, EPOCH)
    await driver.scale(target._replace(agents=2), EPOCH)
    gate.open()
    await eventually(lambda: len(proxy.passed("PATCH", "/deployments/")) == 2)
    assert [patch.status for patch in proxy.passed("PATCH", "/deployments/")] == [200, 409]
    assert (await namespace.deployment())["spec"]["replicas"] == 2


async def test_a_victim_that_cannot_be_marked_leaves_replicas_as_they_were(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make
) -> None:
    victims = tuple(await namespace.running())
    proxy.do(answering(NO_LEADER), "PATCH", "/pods/")
    with pytest.raises(Unavailable):
        await deployments().scale(target._replace(agents=0, victims=victims), EPOCH)
    assert (await namespace.deployment())["spec"]["replicas"] == 1


async def test_a_victim_that_went_by_itself_does_not_hinder(
    namespace: Namespace, target: Target, deployments: Make
) -> None:
    view = await deployments().scale(target._replace(agents=0, victims=("gone-long-ago",)), EPOCH)
    assert view.asked == 0

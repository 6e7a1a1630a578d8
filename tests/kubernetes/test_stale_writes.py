"""A leader that was replaced while its patch was under way: the API server refuses it, only because of the fence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from support.api_server_proxy import ApiServerProxy, Gate
from support.kubernetes_objects import Namespace
from tercio_common.epochs import Epoch
from tercio_scaling.drivers import deployment
from tercio_scaling.drivers.deployment import DeploymentDriver
from tercio_scaling.drivers.fencing import EPOCH_ANNOTATION
from tercio_scaling.drivers.protocol import Fenced, Target

Make = Callable[..., DeploymentDriver]
STALE, FRESH = Epoch(1, 10), Epoch(1, 20)
_PATIENCE_MS = 60_000
"""Longer than the other one's scale takes: the stale one still waits for the answer when it arrives."""
_MARKS = 1
"""A scale reads the Deployment for its victims before it reads it for the patch."""


async def run(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make, gate: Gate, method: str, *, after: int = 0
) -> Any:
    """Hold the stale leader inside its scale to 9 until another one asks for 2; return how its scale ended."""
    await namespace.make_deployment(replicas=4)
    victims = sorted(await namespace.running())
    target = Target("pool", {"namespace": namespace.name, "name": "agents"}, 9)
    stale, fresh = deployments(call_timeout_ms=_PATIENCE_MS), deployments()
    await stale.fence(target, STALE)
    proxy.do(gate, method, "/deployments/", after=after, times=1)
    scaling = asyncio.create_task(stale.scale(target, STALE))
    await gate.held.wait()
    await fresh.fence(target, FRESH)
    await fresh.scale(target._replace(agents=2, victims=tuple(victims[:2])), FRESH)
    await namespace.until_running(2)
    gate.open()
    (outcome,) = await asyncio.gather(scaling, return_exceptions=True)
    return outcome


@pytest.mark.parametrize(
    ("gate", "method", "after"),
    [
        pytest.param(Gate(), "PATCH", 0, id="its-patch-is-under-way"),
        pytest.param(Gate(answer=True), "GET", _MARKS, id="it-has-read-and-not-written"),
    ],
)
async def test_the_stale_patch_reaches_the_api_server_and_is_refused(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make, gate: Gate, method: str, after: int
) -> None:
    outcome = await run(namespace, proxy, deployments, gate, method, after=after)
    assert isinstance(outcome, Fenced)
    stale = [
        one
        for one in proxy.passed("PATCH", "/deployments/")
        if one.sent.get("spec") == {"replicas": 9} and one.sent["metadata"]["annotations"][EPOCH_ANNOTATION] == "1.10"
    ]
    assert [one.status for one in stale] == [409]
    left = await namespace.deployment()
    assert (left["spec"]["replicas"], left["metadata"]["annotations"][EPOCH_ANNOTATION]) == (2, "1.20")


async def test_without_the_version_in_the_patch_the_stale_scale_would_count(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "marked", lambda _thing, epoch: {"annotations": {EPOCH_ANNOTATION: str(epoch)}})
    outcome = await run(namespace, proxy, deployments, Gate(), "PATCH")
    assert outcome.asked == 9
    left = await namespace.deployment()
    assert (left["spec"]["replicas"], left["metadata"]["annotations"][EPOCH_ANNOTATION]) == (9, "1.10")

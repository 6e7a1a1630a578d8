"""Watches that resume: after 410, after a cut in the middle of an event, after silence and refusals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from support.api_server_proxy import ApiServerProxy, Fault, answering, cut_after, expired, silent
from support.kubernetes_objects import Namespace
from support.recorded_answers import FORBIDDEN, GONE, NO_LEADER, OVERLOADED
from tercio_common.testing.eventually import eventually
from tercio_scaling.drivers.deployment import DeploymentDriver
from tercio_scaling.drivers.protocol import Target

Make = Callable[..., DeploymentDriver]


class Listener:
    """Counts what a driver tells of changes."""

    def __init__(self) -> None:
        self.heard = 0

    async def listen(self, changes: AsyncIterator[None]) -> None:
        async for _ in changes:
            self.heard += 1

    async def hears_more(self) -> None:
        """Wait for a change from now on."""
        before = self.heard
        await eventually(lambda: self.heard > before)


@contextlib.asynccontextmanager
async def listening(driver: DeploymentDriver, target: Target) -> AsyncIterator[Listener]:
    listener = Listener()
    task = asyncio.create_task(listener.listen(driver.changes(target)))
    try:
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def target(namespace: Namespace) -> Target:
    await namespace.make_deployment()
    return Target("pool", {"namespace": namespace.name, "name": "agents"}, 0)


async def scaled_by_people(namespace: Namespace, replicas: int) -> None:
    await namespace.cluster.ask("PATCH", namespace.deployment_path(), body={"spec": {"replicas": replicas}})


async def quiet(listener: Listener) -> None:
    """Wait until nothing has been told for a while."""
    before = -1
    while listener.heard != before:
        before = listener.heard
        await asyncio.sleep(0.3)


async def test_a_change_is_told_at_once_and_silence_is_silent(
    namespace: Namespace, target: Target, deployments: Make
) -> None:
    async with listening(deployments(watch_ms=60_000), target) as listener:
        await eventually(lambda: listener.heard)
        await quiet(listener)
        told = asyncio.create_task(listener.hears_more())
        await scaled_by_people(namespace, 1)
        await told
        (name,) = await namespace.until_running(1)
        await quiet(listener)
        told = asyncio.create_task(listener.hears_more())
        await namespace.cluster.ask("DELETE", f"{namespace.pods_path}/{name}")
        await told


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(expired, id="410-as-an-event"),
        pytest.param(answering(GONE), id="410-as-an-answer"),
        pytest.param(answering(NO_LEADER), id="500"),
        pytest.param(answering(OVERLOADED), id="429"),
        pytest.param(answering(FORBIDDEN), id="403"),
        pytest.param(cut_after(0), id="cut-at-once"),
        pytest.param(cut_after(1), id="cut-after-an-event"),
        pytest.param(cut_after(0, inside=True), id="cut-inside-an-event"),
    ],
)
async def test_a_watch_resumes_and_misses_nothing(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make, fault: Fault
) -> None:
    rules = [
        proxy.do(fault, "GET", "/deployments$", times=2, watch=True),
        proxy.do(fault, "GET", "/pods$", times=2, watch=True),
    ]
    async with listening(deployments(watch_ms=1_000), target) as listener:
        await scaled_by_people(namespace, 1)
        await eventually(lambda: not any(rule.left for rule in rules))
        await namespace.until_running(1)
        await quiet(listener)
        told = asyncio.create_task(listener.hears_more())
        await scaled_by_people(namespace, 2)
        await told


async def test_a_watch_that_falls_silent_is_opened_anew(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tercio_scaling.drivers.cluster._GRACE_S", 0.2)
    deaf = proxy.do(silent, "GET", "/deployments$", times=1, watch=True)
    async with listening(deployments(watch_ms=1_000), target) as listener:
        await deaf.met.wait()
        await scaled_by_people(namespace, 1)
        await namespace.until_running(1)
        await quiet(listener)
        told = asyncio.create_task(listener.hears_more())
        await namespace.cluster.ask(
            "PATCH", namespace.deployment_path(), body={"metadata": {"annotations": {"seen": "by the second watch"}}}
        )
        await told


async def test_a_watch_goes_on_where_it_ended(
    namespace: Namespace, target: Target, proxy: ApiServerProxy, deployments: Make
) -> None:
    def versions() -> list[str]:
        return [since for path, since in proxy.watches if path.endswith("/deployments")]

    async with listening(deployments(watch_ms=1_000), target) as listener:
        await eventually(lambda: len(versions()) >= 3)
        await quiet(listener)
    present = (await namespace.deployment())["metadata"]["resourceVersion"]
    first, *later = versions()
    assert first == ""
    assert all(int(since) >= int(present) for since in later)


async def test_a_deployment_that_comes_later_is_seen(
    namespace: Namespace, proxy: ApiServerProxy, deployments: Make
) -> None:
    target = Target("pool", {"namespace": namespace.name, "name": "agents"}, 0)
    async with listening(deployments(), target) as listener:
        await eventually(lambda: listener.heard)
        await namespace.make_deployment(replicas=1)
        await quiet(listener)
        told = asyncio.create_task(listener.hears_more())
        await scaled_by_people(namespace, 2)
        await told

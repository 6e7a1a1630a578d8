"""What the scheduler does about a system task that it cannot take now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.type.v1 import system_task_pb2
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import Channels, Reconnect, Route
from tercio_common.errors import Refusal
from tercio_scheduler.effects import run_system_tasks
from tercio_scheduler.effects.system_task_sources import REGISTRY


class OneTask:
    """A watch that shows one system task."""

    async def __aiter__(self) -> AsyncIterator[pb.WatchSystemTasksResponse]:
        shown = system_task_pb2.SystemTask(system_task_id="registry-1", kind="tercio.canary", target_agent_id="a")
        yield pb.WatchSystemTasksResponse(cursor="c", system_task=shown)

    def cancel(self) -> None:
        """End."""


def refuse(*_: Any, **__: Any) -> None:
    raise Refusal("STORE_NEARLY_FULL", "no room", retry_after_ms=5_000)


async def test_a_refused_system_task_is_asked_for_again_when_the_refusal_says() -> None:
    stub = SimpleNamespace(WatchSystemTasks=lambda *_, **__: OneTask())
    remote, host = SimpleNamespace(stub=lambda: stub), SimpleNamespace(propose=refuse)
    reconnect = Reconnect(Route(Channels(), ("here:1",)), Backoff())
    cursor, error = await run_system_tasks._follow(cast(Any, remote), REGISTRY, "", reconnect, cast(Any, host))
    assert cursor == ""
    assert reconnect.wait_ms(error) >= 5_000

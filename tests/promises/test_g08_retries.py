"""G8: a retry has no second effect, also while the first call is still running."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc

from support.processes import SCHEDULER, Fleet
from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio_common.testing.history import Verdict, judge, recorded

_CALLERS = 32
_REQUEST = task_service_pb2.SubmitTasksRequest(
    request_id="the same", tasks=[task_pb2.TaskSpec(template=task_pb2.TaskTemplate(task_type="work"))]
)


async def _submit_all_at_once(address: str) -> list[tuple[str, ...]]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = TaskServiceStub(channel)
        replies = await asyncio.gather(*(stub.SubmitTasks(_REQUEST, timeout=10) for _ in range(_CALLERS)))
    return [tuple(reply.task_ids) for reply in replies]


async def _retry(fleet: Fleet, recording: Path, *, module: str) -> tuple[set[tuple[str, ...]], Verdict]:
    """Send one request from many callers at once, to the leader; then once more to its successor."""
    await fleet.add_all(2, module=module)
    first, term = await fleet.leader_after(None)
    await first.leading()
    async with recorded(fleet.journal, recording):
        replies = await _submit_all_at_once(first.address)
        first.kill()
        second, _ = await fleet.leader_after(term)
        await second.leading()
        replies += await _submit_all_at_once(second.address)
    return set(replies), judge(recording)


async def test_one_request_from_many_callers_at_once_and_again_after_a_take_over_is_carried_out_once(
    fleet: Fleet, recording: Path
) -> None:
    replies, verdict = await _retry(fleet, recording, module=SCHEDULER)
    assert len(replies) == 1
    verdict.demand()


async def test_without_de_duplication_the_second_effect_shows_in_the_history(fleet: Fleet, recording: Path) -> None:
    replies, verdict = await _retry(fleet, recording, module="support.launchers.forgetful_requests")
    assert len(replies) > 1
    assert verdict.broken() == {"G8"}

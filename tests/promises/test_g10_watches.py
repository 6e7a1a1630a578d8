"""G10: watches are ordered and gapless, and go on from a cursor over a take-over."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from support.processes import SCHEDULER, Fleet
from support.workload import Workload, agents
from tercio import Client, Context
from tercio.api.scheduler.v1 import task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import WATCHED, Observation, Recorder, Verdict, judge, recorded

_TASKS = 200


async def _work(task: Context) -> None:
    await asyncio.sleep(0.001)


class _Watcher:
    """Watches through whichever replica answers, and resumes from its cursor when that one is gone."""

    def __init__(self, recorder: Recorder, addresses: list[str]) -> None:
        self._recorder, self._addresses = recorder, addresses
        self._cursor = ""
        self.ended: set[str] = set()
        self.cut_off = 0
        self.resumed = False
        self.may_resume = asyncio.Event()

    async def begin(self) -> None:
        """Take the cursor of an empty listing, so that everything is after it."""
        async with grpc.aio.insecure_channel(self._addresses[0]) as channel:
            stub: Any = TaskServiceStub(channel)
            self._cursor = (await stub.ListTasks(task_service_pb2.ListTasksRequest(), timeout=10)).cursor

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            for address in self._addresses:
                await self._watch(address)
                await self.may_resume.wait()
                await asyncio.sleep(0.02)

    async def _watch(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = TaskServiceStub(channel)
            call = stub.WatchTasks(task_service_pb2.WatchTasksRequest(cursor=self._cursor))
            try:
                async for response in call:
                    self._note(response)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                self.cut_off += 1
            finally:
                call.cancel()

    def _note(self, response: task_service_pb2.WatchTasksResponse) -> None:
        self._cursor = response.cursor
        self.resumed = self.may_resume.is_set()
        for task in response.tasks:
            self._recorder.observe(Observation(WATCHED, task.task_id, seq=_seq(response.cursor)))
            if task.HasField("end_time"):
                self.ended.add(task.task_id)


def _seq(cursor: str) -> int:
    """Read the record's number out of a cursor, which no client may do."""
    return int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("/")[2])


async def _watch_over_a_kill(fleet: Fleet, recording: Path, aim: Callable[[str], None], *, module: str) -> Verdict:
    await fleet.add_all(2, module=module)
    aim(fleet.address)
    async with (
        recorded(fleet.journal, recording) as recorder,
        agents(2, task_type="work", handler=_work),
        Client() as client,
    ):
        first, _ = await fleet.leader_after(None)
        watcher = _Watcher(recorder, [replica.address for replica in fleet.replicas])
        await watcher.begin()
        watching = asyncio.create_task(watcher.run())
        work = Workload(client, recorder)
        await work.submit(_TASKS, task_type="work")
        await eventually(lambda: len(watcher.ended) > _TASKS // 4)
        first.kill()
        await work.submit(_TASKS, task_type="work")
        await work.states()
        assert watcher.cut_off
        # Only now, so that what it resumes from is in the past.
        watcher.may_resume.set()
        await eventually(lambda: watcher.resumed)
        last = await client.submit("work")
        work.follow(last)
        await eventually(lambda: last.task_id in watcher.ended)
        await work.states()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return judge(recording)


async def test_a_watch_that_is_resumed_over_a_kill_shows_every_change_once(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    (await _watch_over_a_kill(fleet, recording, aim, module=SCHEDULER)).demand()


async def test_a_cursor_that_is_off_by_one_leaves_a_change_out(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    verdict = await _watch_over_a_kill(fleet, recording, aim, module="support.launchers.off_by_one_cursor")
    assert verdict.broken() == {"G10"}

"""G10: a reader that falls behind or comes too late is told so, never given a gap; a compaction is no reason for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.processes import SCHEDULER, Fleet
from support.registry import reason_of
from support.workload import Workload
from tercio import Client
from tercio.api.scheduler.v1 import task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio_common.ids import decode_cursor
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import WATCHED, Observation, Recorder, Verdict, judge, recorded

_TASKS = 4_000
_LAST_TYPE = "last"
_PAUSE_S = 0.1
_LONG_TYPE = "a-type-with-a-long-name-" + "x" * 100
_LITTLE_LAG = {"TERCIO_HOST__LAG_BYTES": str(64 * 1024)}
_LITTLE_MEMORY = {**_LITTLE_LAG, "TERCIO_HOST__FEED_BYTES": str(1 << 20)}
_LITTLE_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 64 * 1024)]
"""What nobody reads stays with the server, instead of in buffers of the client."""


class _Reader:
    """A watch that reads when it is told to."""

    def __init__(self, stub: Any, recorder: Recorder, cursor: str) -> None:
        self._stub, self._recorder = stub, recorder
        self.cursor = cursor
        self.shown: set[str] = set()

    def begin(self) -> Any:
        """Open a watch after what was shown, and read nothing of it."""
        return self._stub.WatchTasks(task_service_pb2.WatchTasksRequest(cursor=self.cursor))

    async def read(self, call: Any) -> None:
        """Read until a task of the last type is shown, or to the end of the stream."""
        async for response in call:
            _, position = decode_cursor("tasks-at", response.cursor)
            for task in response.tasks:
                self._recorder.observe(Observation(WATCHED, task.task_id, seq=int(position)))
                self.shown.add(task.template.task_type)
            self.cursor = response.cursor
            if _LAST_TYPE in self.shown:
                break
        call.cancel()


async def _read_up_to_the_present(reader: _Reader, call: Any, client: Client) -> None:
    """Read until something is shown that was submitted after the reading began."""
    reading = asyncio.create_task(reader.read(call))
    while not reading.done():
        await client.submit(_LAST_TYPE)
        await asyncio.wait([reading], timeout=_PAUSE_S)
    await reading


async def _cursor(stub: Any) -> str:
    return str((await stub.ListTasks(task_service_pb2.ListTasksRequest(page_size=1), timeout=10)).cursor)


async def _stall(fleet: Fleet, recording: Path, aim: Callable[[str], None], *, module: str) -> tuple[str, Verdict]:
    """Open a watch, read nothing until much more happened than it may lag, then go on; return how the watch ended."""
    server = await fleet.add(module, settings=_LITTLE_LAG)
    aim(server.address)
    reason = ""
    async with (
        recorded(fleet.journal, recording) as recorder,
        Client() as client,
        grpc.aio.insecure_channel(server.address, options=_LITTLE_WINDOW) as channel,
    ):
        stub: Any = TaskServiceStub(channel)
        reader = _Reader(stub, recorder, await _cursor(stub))
        call = reader.begin()
        await call.initial_metadata()
        work = Workload(client, recorder)
        await work.submit(_TASKS, task_type=_LONG_TYPE)
        await eventually(lambda: work.acknowledged == _TASKS)
        await fleet.journal.compact()
        try:
            await _read_up_to_the_present(reader, call, client)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
            await _read_up_to_the_present(reader, reader.begin(), client)
        await work.give_up()
        await work.note_listing()
    return reason, judge(recording)


async def test_a_reader_that_stalled_is_cut_and_resumes_without_a_gap_over_a_compaction(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    reason, verdict = await _stall(fleet, recording, aim, module=SCHEDULER)
    assert reason == "READER_TOO_SLOW"
    verdict.demand()


async def test_a_feed_that_passes_over_what_a_slow_reader_missed_would_be_found_out(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    _, verdict = await _stall(fleet, recording, aim, module="support.launchers.skipping_feed")
    assert verdict.broken() == {"G10"}


async def test_a_cursor_that_is_too_old_is_refused_and_a_listing_shows_what_was_missed(
    fleet: Fleet, recording: Path, aim: Callable[[str], None]
) -> None:
    server = await fleet.add(settings=_LITTLE_MEMORY)
    aim(server.address)
    async with (
        recorded(fleet.journal, recording) as recorder,
        Client() as client,
        grpc.aio.insecure_channel(server.address, options=_LITTLE_WINDOW) as channel,
    ):
        stub: Any = TaskServiceStub(channel)
        reader = _Reader(stub, recorder, await _cursor(stub))
        work = Workload(client, recorder)
        await work.submit(30, task_type="nobody-runs-this", payload="x" * 60_000)
        await eventually(lambda: work.acknowledged == 30)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reader.read(reader.begin())
        assert reason_of(caught.value) == "CURSOR_COMPACTED"
        assert not reader.shown
        await work.give_up()
        await work.note_listing()
    judge(recording).demand()

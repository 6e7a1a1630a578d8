"""The scheduler as a process: `python -m tercio_scheduler`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator

import grpc

from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as pb
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub


@contextlib.asynccontextmanager
async def process(**settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TERCIO_")}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tercio_scheduler",
        env={**environment, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.communicate()


async def port_of(running: asyncio.subprocess.Process) -> int:
    """Return the port once the process leads."""
    assert running.stdout is not None
    port = 0
    async for line in running.stdout:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            port = entry.get("port", port)
            if entry.get("event") == "leading":
                return int(port)
    raise AssertionError("the process ended before it led")


async def test_it_serves_until_a_signal_and_drains() -> None:
    async with process(TERCIO_STORE__KIND="memory", TERCIO_SERVER__PORT="0") as running:
        port = await asyncio.wait_for(port_of(running), 30)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            tasks = [task_pb2.TaskSpec(task_id="t", template=task_pb2.TaskTemplate(task_type="echo"))]
            request = pb.SubmitTasksRequest(request_id="r", tasks=tasks)
            reply = await TaskServiceStub(channel).SubmitTasks(request, wait_for_ready=True, timeout=10)
            assert list(reply.task_ids) == ["t"]
        running.terminate()
        assert await asyncio.wait_for(running.wait(), 15) == 0


async def test_it_does_not_start_with_settings_that_contradict_each_other() -> None:
    async with process(TERCIO_SCHEDULER__RETENTION_MS="1000") as running:
        output, _ = await asyncio.wait_for(running.communicate(), 30)
        assert running.returncode == 2
        assert b"retention_ms (1000) must be at least attempt_lease_ms (15000)" in output

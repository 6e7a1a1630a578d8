"""NATS JetStream as a work queue: asynchronous publishing, a pull consumer that fetches batches, results by core NATS.

A stream with work-queue retention in files, https://docs.nats.io/nats-concepts/jetstream/streams ; publishing without
waiting for each acknowledgement and fetching in batches is what its documentation and clients offer for throughput,
https://docs.nats.io/using-nats/developer/develop_jetstream/consumers . A task is over when its publication is
acknowledged, which says that it is stored, and its result is here. Results are not stored. By default files are synced
every two minutes; with `--fsync` before each acknowledgement, `sync_interval: always`,
https://docs.nats.io/running-a-nats-service/configuration#jetstream-server-settings .
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import subprocess
import sys
import time

import children
import load
import nats
import uvloop
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

# The default of `publish_async_max_pending` in its client.
_IN_FLIGHT = 4_000
_FETCH = 500
_MOST_UNACKNOWLEDGED = 20_000


async def _serve(url: str) -> None:
    """Fetch, answer, acknowledge."""
    connection = await nats.connect(url)
    subscription = await connection.jetstream().pull_subscribe_bind("workers", "tasks")
    while True:
        try:
            messages = await subscription.fetch(_FETCH, timeout=5)
        except NatsTimeoutError:
            continue
        for message in messages:
            await connection.publish("results", message.data)
            await message.ack()


class _Queue:
    """The client's side: tasks under way by number."""

    def __init__(self, connection: nats.NATS) -> None:
        self._jetstream = connection.jetstream()
        self._numbers = itertools.count()
        self._results: dict[bytes, asyncio.Future[None]] = {}

    async def run(self) -> None:
        """Run one task to its result."""
        number = b"%d" % next(self._numbers)
        result = self._results[number] = asyncio.get_running_loop().create_future()
        await (await self._jetstream.publish_async("tasks", number))
        await result

    async def ended(self, message: nats.aio.msg.Msg) -> None:
        self._results.pop(message.data).set_result(None)


async def _measure(url: str, asked: argparse.Namespace) -> dict[str, float]:
    connection = await nats.connect(url)
    jetstream = connection.jetstream()
    await jetstream.add_stream(
        StreamConfig(name="tasks", subjects=["tasks"], retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.FILE)
    )
    await jetstream.add_consumer(
        "tasks",
        ConsumerConfig(durable_name="workers", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=_MOST_UNACKNOWLEDGED),
    )
    queue = _Queue(connection)
    await connection.subscribe("results", cb=queue.ended)
    children.start([sys.executable, __file__], asked.folder / "worker.log", PEER_NATS_URL=url)
    await _fill(queue, load.WARM_UP_S)
    tasks, taken = await _fill(queue, asked.seconds)
    times = await _paced(queue, asked.paced_seconds)
    await connection.close()
    return {"tasks": tasks, "seconds": taken, **load.percentiles(times)}


async def _fill(queue: _Queue, seconds: float) -> tuple[int, float]:
    began = time.perf_counter()
    tasks = 0

    async def lane() -> None:
        nonlocal tasks
        while time.perf_counter() - began < seconds:
            await queue.run()
            tasks += 1

    await asyncio.gather(*(lane() for _ in range(_IN_FLIGHT)))
    return tasks, time.perf_counter() - began


async def _paced(queue: _Queue, seconds: float) -> list[float]:
    times = []
    due = time.perf_counter()
    for _ in range(max(int(seconds * load.PACED_RATE), 2)):
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        due += 1 / load.PACED_RATE
        began = time.perf_counter()
        await queue.run()
        times.append((time.perf_counter() - began) * 1000)
    return times


def main() -> None:
    """Measure and tell, or serve as the worker process that this program starts."""
    if url := os.environ.get("PEER_NATS_URL"):
        uvloop.run(_serve(url))
        return
    asked = load.arguments()
    port = children.free_port()
    url = f"nats://127.0.0.1:{port}"
    configuration = asked.folder / "nats.conf"
    sync = "sync_interval: always" if asked.fsync else ""
    configuration.write_text(f'jetstream {{ store_dir: "{asked.folder}"\n {sync} }}\n')
    children.start(
        [asked.server, "--addr=127.0.0.1", f"--port={port}", f"--config={configuration}"], asked.folder / "nats.log"
    )
    children.wait_for(port, asked.folder / "nats.log")
    measured = uvloop.run(_measure(url, asked))
    told = subprocess.run([asked.server, "--version"], capture_output=True, text=True, check=True).stdout
    load.tell(measured, ["nats-py"], **{"nats-server": told.split()[-1].removeprefix("v")})


if __name__ == "__main__":
    main()

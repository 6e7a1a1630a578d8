"""Celery on Redis: one `delay` and one `AsyncResult.get` a task.

Set up as "Optimizing" says for lots of short tasks, https://docs.celeryq.dev/en/stable/userguide/optimizing.html :
a prefetch multiplier of 128, one prefork process a core. What only serves several workers (gossip, mingle, heartbeat)
is off, https://docs.celeryq.dev/en/stable/userguide/workers.html . Groups with `join_native` were no faster, and make a
lone task wait for half a second.
"""

from __future__ import annotations

import os
import sys

import children
import load
from celery import Celery
from celery.result import AsyncResult

_BATCH = 250
_BATCHES = 4
_RESULT_WITHIN_S = 60

app = Celery("celery_tasks")


@app.task(name="noop")
def _noop() -> None:
    """Return at once."""


def _configure(port: int) -> None:
    app.conf.update(
        broker_url=f"redis://127.0.0.1:{port}/0",
        result_backend=f"redis://127.0.0.1:{port}/1",
        worker_prefetch_multiplier=128,
        broker_connection_retry_on_startup=True,
    )


def main() -> None:
    """Measure and tell."""
    asked = load.arguments()
    port, redis = children.start_redis(asked.server, asked.folder, fsync=asked.fsync)
    _configure(port)
    worker = [sys.executable, "-m", "celery", "--app=celery_tasks", "worker", f"--concurrency={os.cpu_count()}"]
    children.start(
        [*worker, "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"],
        asked.folder / "workers.log",
        PEER_REDIS_PORT=str(port),
    )

    def submit(count: int) -> list[AsyncResult]:
        return [_noop.delay() for _ in range(count)]

    def wait(batch: list[AsyncResult]) -> None:
        for result in batch:
            result.get(timeout=_RESULT_WITHIN_S)

    measured = load.measure(submit, wait, batch=_BATCH, batches=_BATCHES, asked=asked)
    load.tell(measured, ["celery"], redis=redis)


if __name__ == "__main__":
    main()
else:  # in a worker, which imports this file for its tasks
    _configure(int(os.environ["PEER_REDIS_PORT"]))

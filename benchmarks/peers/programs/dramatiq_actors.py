"""Dramatiq on Redis: an actor that stores its result, groups of messages, results by blocking reads.

Set up as its documentation says: one worker process a core with the default eight threads, the Redis results back end,
"the recommended" one, and `group.run` with `get_results(block=True)`, https://dramatiq.io/cookbook.html .
`dramatiq_queue_prefetch` is raised for short tasks, https://dramatiq.io/advanced.html .
"""

from __future__ import annotations

import os
import sys

import children
import dramatiq
import load
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

_BATCH = 250
_BATCHES = 4
_PREFETCH = "128"
_RESULT_WITHIN_MS = 60_000


def _set_broker(port: int) -> None:
    broker = RedisBroker(host="127.0.0.1", port=port, db=0)
    broker.add_middleware(Results(backend=RedisBackend(host="127.0.0.1", port=port, db=1)))
    dramatiq.set_broker(broker)


def main() -> None:
    """Measure and tell."""
    asked = load.arguments()
    port, redis = children.start_redis(asked.server, asked.folder, fsync=asked.fsync)
    _set_broker(port)
    noop = dramatiq.actor(_nothing, actor_name="noop", store_results=True)
    children.start(
        [sys.executable, "-m", "dramatiq", "--processes", str(os.cpu_count()), "--threads", "8", "dramatiq_actors"],
        asked.folder / "workers.log",
        PEER_REDIS_PORT=str(port),
        dramatiq_queue_prefetch=_PREFETCH,
    )

    def submit(count: int) -> dramatiq.group:
        return dramatiq.group(noop.message() for _ in range(count)).run()

    def wait(batch: dramatiq.group) -> None:
        for _ in batch.get_results(block=True, timeout=_RESULT_WITHIN_MS):
            pass

    measured = load.measure(submit, wait, batch=_BATCH, batches=_BATCHES, asked=asked)
    load.tell(measured, ["dramatiq"], redis=redis)


def _nothing() -> None:
    """Return at once."""


if __name__ == "__main__":
    main()
else:  # in a worker, which imports this file for its actors
    _set_broker(int(os.environ["PEER_REDIS_PORT"]))
    dramatiq.actor(_nothing, actor_name="noop", store_results=True)

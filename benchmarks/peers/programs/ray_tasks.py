"""Ray: one remote function call a task, or one call of an actor's method with `--actors`.

Results are fetched a batch at a time while the next batches are under way, as the design patterns say:
https://docs.ray.io/en/latest/ray-core/patterns/ray-get-loop.html and
https://docs.ray.io/en/latest/ray-core/patterns/limit-pending-tasks.html . Actors take no core of their own, so that
eight fit on two: https://docs.ray.io/en/latest/ray-core/scheduling/resources.html .
"""

from __future__ import annotations

import os
import sys
from itertools import cycle

# Read when Ray is imported: no statistics leave the machine, and it is not to imitate an outer `uv run`.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")

import load
import ray

_ACTORS = 8
_BATCH = 1_000
_BATCHES = 4


@ray.remote
def _noop() -> None:
    """Return at once."""


@ray.remote(num_cpus=0)
class _Actor:
    def noop(self) -> None:
        """Return at once."""


def main() -> None:
    """Measure and tell."""
    actors = "--actors" in sys.argv
    if actors:
        sys.argv.remove("--actors")
    asked = load.arguments()
    ray.init(
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(asked.folder),
    )
    calls = cycle([_Actor.remote().noop for _ in range(_ACTORS)] if actors else [_noop])

    def submit(count: int) -> list[ray.ObjectRef]:
        return [next(calls).remote() for _ in range(count)]

    measured = load.measure(submit, ray.get, batch=_BATCH, batches=_BATCHES, asked=asked)
    load.tell(measured, ["ray"])
    ray.shutdown()


if __name__ == "__main__":
    main()

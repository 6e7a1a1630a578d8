"""The scheduler's pure state with few and with many queued tasks: CPU and memory a task.

`python -m benchmarks.growth.queue_state BACKLOG` prints one measurement as JSON; each is a process of its own, so that
none inherits the memory of another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median

from benchmarks.bars import Bar
from benchmarks.processes import resident_bytes
from benchmarks.scheduler_state import AGENTS, Run, frames

_FRAME = 100
_TASKS = 40_000
_ROUNDS = 3


def bars(*, few: int, many: int) -> list[Bar]:
    """Return how the cost grows from a backlog to a larger one, alternating, each measured three times."""
    runs = [(_measured(few), _measured(many)) for _ in range(_ROUNDS)]
    small = {name: median(one[0][name] for one in runs) for name in runs[0][0]}
    large = {name: median(one[1][name] for one in runs) for name in runs[0][0]}
    return [
        Bar(
            name=f"pure state: CPU a task, {many:,} queued ÷ {few:,} queued",
            value=large["micros"] / small["micros"],
            limit=1.5,
            details={"µs with few": small["micros"], "µs with many": large["micros"]},
        ),
        Bar(
            name=f"pure state: memory a queued task, {many:,} queued",
            value=large["bytes"],
            limit=1000,
            unit="B",
        ),
    ]


def points(backlogs: list[int]) -> list[tuple[int, float]]:
    """Return (backlog, µs of CPU a task), for a plot."""
    return [(backlog, _measured(backlog)["micros"]) for backlog in backlogs]


def _measured(backlog: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.growth.queue_state", str(backlog)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _measure(backlog: int) -> dict[str, float]:
    run = Run()
    before = resident_bytes(os.getpid())
    for frame in frames("backlog", tasks=backlog, frame=1000):
        run.submit(frame)
        run.journal.clear()
    held = resident_bytes(os.getpid()) - before
    run.spent_ns.clear()
    submissions = list(frames("task", tasks=_TASKS, frame=_FRAME))
    completed = 0
    for first in range(0, len(submissions), AGENTS):
        for frame in submissions[first : first + AGENTS]:
            run.submit(frame)
        completed += run.dispatch_and_complete()
    return {"micros": sum(run.spent_ns.values()) / completed / 1000, "bytes": held / backlog}


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))

"""How long the leader's event loop stands still for a snapshot.

Two views: the longest step that the snapshot itself takes without letting anything else run, while tasks pour in; and
the longest pause of the loop, whatever its cause, while the snapshot runs under a light load. Processor time is judged,
because other processes on the machine are no fault of the snapshot's.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.backlog import Submitter
from benchmarks.bars import Bar
from benchmarks.recovery import probed
from benchmarks.servers import Bench

_JOURNAL_BYTES_A_TASK = 20
"""A little less than a queued task takes, so that the last snapshot is begun shortly before all are queued."""
_LEAST_BYTES = 1 << 20
_LONGEST_MS = 50
_PAUSE_S = 0.02
_WITHIN_S = 300.0


async def bars(bench: Bench, *, tasks: int) -> list[Bar]:
    """Queue that many tasks, and wait for the snapshot of them under a light load."""
    seen = bench.folder / "probe"
    threshold = max(_LEAST_BYTES, tasks * _JOURNAL_BYTES_A_TASK)
    settings = {probed.FILE: str(seen), "TERCIO_HOST__SNAPSHOT_BYTES": str(threshold)}
    scheduler = await bench.add("tercio_scheduler", launcher="benchmarks.recovery.probed", settings=settings)
    async with Submitter(scheduler.address, prefix="task") as submitter, asyncio.timeout(_WITHIN_S):
        await submitter.submit(tasks)
        filled = time.time()
        while not (snapshots := await _told(seen, "snapshot", since=filled)):
            await submitter.submit(1)
            await asyncio.sleep(_PAUSE_S)
    pauses = await _told(seen, "stall", since=filled)
    (snapshot,) = snapshots
    return [
        Bar(
            name=f"longest step of a snapshot of about {tasks:,} tasks",
            value=snapshot["longest_step_cpu_ms"],
            limit=_LONGEST_MS,
            unit="ms",
            details={"wall ms": snapshot["longest_step_ms"], "snapshot s": snapshot["ms"] / 1000},
        ),
        Bar(
            name="longest pause of the event loop during it, light load",
            value=max((pause["cpu_ms"] for pause in pauses), default=0.0),
            limit=_LONGEST_MS,
            unit="ms",
            details={"wall ms": max((pause["ms"] for pause in pauses), default=0.0)},
        ),
    ]


async def _told(path: Path, kind: str, *, since: float) -> list[dict[str, Any]]:
    text = await asyncio.to_thread(path.read_text)
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["kind"] == kind and line["at"] > since]

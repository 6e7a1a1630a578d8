"""A leader with many live tasks ends: how long until another one serves, and how fast that replays the journal."""

from __future__ import annotations

import time

from benchmarks.backlog import fill
from benchmarks.bars import Bar
from benchmarks.servers import LEASE, Bench
from tercio_common.machine.records import split_segment
from tercio_common.testing.chaos.processes import ServerProcess

_ALLOWED_S = LEASE.ttl_ms / 1000 + 5
_NO_SNAPSHOTS = {"TERCIO_HOST__SNAPSHOT_BYTES": str(1 << 40)}
"""So that what is replayed is the journal, task by task."""


async def bars(bench: Bench, *, live: int, replayed: int) -> list[Bar]:
    """Kill the leader of two replicas with kill -9; later drain one, whose successor then only has to replay."""
    leader, follower = [await bench.add("tercio_scheduler", settings=_NO_SNAPSHOTS) for _ in range(2)]
    await fill(leader.address, live, prefix="live")
    leader.kill()
    killed = await _seconds_until_leading(follower)
    await fill(follower.address, replayed - live, prefix="more")
    successor = await bench.add("tercio_scheduler", settings=_NO_SNAPSHOTS)
    records, size = await _journal(bench)
    follower.terminate()
    drained = await _seconds_until_leading(successor)
    return [
        Bar(
            name=f"failover after kill -9 with {live:,} live tasks",
            value=killed,
            limit=_ALLOWED_S,
            unit="s",
            details={"lease TTL s": LEASE.ttl_ms / 1000},
        ),
        Bar(
            name=f"failover after SIGTERM with {replayed:,} live tasks: drain and replay",
            value=drained,
            unit="s",
            details={
                "tasks/s": replayed / drained,
                "records/s": records / drained,
                "MB": size / 1e6,
                "MB/s": size / 1e6 / drained,
            },
        ),
    ]


async def _seconds_until_leading(server: ServerProcess) -> float:
    began = time.perf_counter()
    await server.leading(within_s=10 * _ALLOWED_S)
    return time.perf_counter() - began


async def _journal(bench: Bench) -> tuple[int, int]:
    """Return how many records the journal has, and their bytes."""
    journal = bench.store.journal("scheduler")
    last = records = size = 0
    while segments := await journal.read(last):
        last = segments[-1].number
        for segment in segments:
            records += len(list(split_segment(segment.value)))
            size += len(segment.value)
    return records, size

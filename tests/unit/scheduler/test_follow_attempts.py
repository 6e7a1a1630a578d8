"""Agents are told what to stop, also by a follower that failed in between."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from support.scheduler_drive import Drive
from tercio_common.journal.feed import Feed, FeedEntry
from tercio_scheduler.effects.follow_attempts import AttemptFollower
from tercio_scheduler.state.commands import AttemptKey, CancelTask


class FailingOnce:
    """Streams that notes what is cancelled, after a first defect."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.failures = 0

    def cancel(self, _agent_id: str, _instance_id: bytes, key: AttemptKey) -> None:
        if not self.failures:
            self.failures += 1
            raise ValueError("a defect")
        self.cancelled.append(key.task_id)


def cancelled_entries(drive: Drive, *task_ids: str) -> list[tuple[FeedEntry, int]]:
    entries = []
    for task_id in task_ids:
        drive.propose(CancelTask(task_id=task_id, reason="changed my mind"))
        entries.append((FeedEntry(drive.seq, drive.now, drive.wall, drive.machine.tables.changes()), 0))
    return entries


async def test_a_follower_that_failed_tells_of_all_that_was_cancelled_after_that() -> None:
    drive, agents = Drive(), FailingOnce()
    drive.attach()
    drive.submit("a", "b", "c", "d")
    drive.dispatch()
    feed = Feed(ring_bytes=1 << 20, lag_bytes=1 << 20)
    feed.begin(drive.seq)
    follower = AttemptFollower(agents, lease_ms=15_000)
    host = SimpleNamespace(feed=feed, session=drive.session)
    first = asyncio.ensure_future(follower.run(host))
    await asyncio.sleep(0)
    feed.publish_all(cancelled_entries(drive, "a", "b"))
    with pytest.raises(ValueError, match="a defect"):
        await first
    feed.publish_all(cancelled_entries(drive, "c"))
    second = asyncio.ensure_future(follower.run(host))
    await asyncio.sleep(0)
    feed.publish_all(cancelled_entries(drive, "d"))
    await asyncio.sleep(0)
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await second
    assert agents.cancelled == ["b", "c", "d"]

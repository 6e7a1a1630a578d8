"""The feed is ordered, gapless and resumable; who is too far behind is told."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tercio_common.errors import Refusal
from tercio_common.journal.feed import Feed, FeedEntry
from tercio_common.machine.table import NO_CHANGES, Changes


def entry(seq: int, *, changed: bool = True) -> FeedEntry:
    return FeedEntry(seq, 0, 0, Changes({"rows": {seq: seq}}) if changed else NO_CHANGES)


def make(count: int, *, ring_bytes: int = 1 << 20, lag_bytes: int = 1 << 20) -> Feed:
    feed = Feed(ring_bytes=ring_bytes, lag_bytes=lag_bytes)
    feed.begin(0)
    for seq in range(1, count + 1):
        feed.publish(entry(seq), 0)
    return feed


@pytest.mark.parametrize("after", range(11))
def test_a_reader_resumes_exactly_after_its_cursor(after: int) -> None:
    subscription = make(10).subscribe(after)
    assert [item.seq for item in subscription.pending()] == list(range(after + 1, 11))
    assert subscription.position == 10


def test_an_entry_without_changes_only_moves_the_cursor() -> None:
    feed = make(3)
    subscription = feed.subscribe(None)
    feed.publish(entry(4, changed=False), 0)
    assert subscription.pending() == []
    assert subscription.position == 4


def test_a_cursor_older_than_the_ring_is_compacted() -> None:
    feed = make(100, ring_bytes=10 * 256)
    with pytest.raises(Refusal, match="CURSOR_COMPACTED"):
        feed.subscribe(89)
    assert [item.seq for item in feed.subscribe(90).pending()] == list(range(91, 101))


def test_a_cursor_from_before_the_snapshot_is_compacted() -> None:
    feed = Feed(ring_bytes=1 << 20, lag_bytes=1 << 20)
    feed.begin(50)
    with pytest.raises(Refusal, match="CURSOR_COMPACTED"):
        feed.subscribe(49)
    assert feed.subscribe(50).pending() == []


def test_a_cursor_of_the_future_is_compacted() -> None:
    with pytest.raises(Refusal, match="CURSOR_COMPACTED"):
        make(3).subscribe(4)


def test_a_reader_that_falls_behind_is_cut_with_its_cursor() -> None:
    feed = make(0, lag_bytes=10 * 256)
    subscription = feed.subscribe(0)
    feed.publish(entry(1), 0)
    assert len(subscription.pending()) == 1
    for seq in range(2, 14):
        feed.publish(entry(seq), 0)
    with pytest.raises(Refusal, match="READER_TOO_SLOW") as caught:
        subscription.pending()
    assert caught.value.metadata == {"seq": "1"}


def test_a_reader_may_catch_up_from_an_old_cursor() -> None:
    feed = make(1000, lag_bytes=10 * 256)
    subscription, seen = feed.subscribe(0), []
    while batch := subscription.pending():
        seen += [item.seq for item in batch]
    assert seen == list(range(1, 1001))


async def test_waiting_readers_wake_on_publication_and_on_the_end() -> None:
    feed = make(0)
    subscription = feed.subscribe(None)
    reading = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    feed.publish(entry(1), 0)
    assert [item.seq for item in await reading] == [1]
    reading = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    feed.close("over")
    with pytest.raises(Refusal, match="NO_LEADER"):
        await reading


def test_a_commit_larger_than_the_allowed_lag_cuts_nobody_who_was_up_to_date() -> None:
    feed = make(3, lag_bytes=10 * 256)
    reader, sleeper = feed.subscribe(3), feed.subscribe(3)
    feed.publish_all((entry(seq), 0) for seq in range(4, 104))
    assert [item.seq for item in reader.pending()] == list(range(4, 104))
    feed.publish(entry(104), 0)
    assert [item.seq for item in reader.pending()] == [104]
    with pytest.raises(Refusal, match="READER_TOO_SLOW"):
        sleeper.pending()


async def _take(feed: Feed, *, until: int) -> list[int]:
    """Follow until an entry, and fail there."""
    taken = []
    async with contextlib.aclosing(feed.follow("test")) as entries:
        async for item in entries:
            taken.append(item.seq)
            if item.seq == until:
                break
    return taken


async def test_a_follower_that_begins_anew_goes_on_after_the_entry_at_which_it_failed() -> None:
    feed = make(0)
    feed.begin(2)
    following = asyncio.ensure_future(_take(feed, until=4))
    await asyncio.sleep(0)
    feed.publish_all((entry(seq), 0) for seq in range(3, 7))
    assert await following == [3, 4]
    feed.publish(entry(7), 0)
    assert await _take(feed, until=7) == [5, 6, 7]


async def test_a_follower_that_begins_anew_too_late_is_told_once_and_goes_on_with_the_present() -> None:
    feed = make(0, ring_bytes=10 * 256)
    following = asyncio.ensure_future(_take(feed, until=1))
    await asyncio.sleep(0)
    feed.publish(entry(1), 0)
    assert await following == [1]
    for seq in range(2, 100):
        feed.publish(entry(seq), 0)
    with pytest.raises(Refusal, match="READER_TOO_SLOW"):
        await _take(feed, until=99)
    following = asyncio.ensure_future(_take(feed, until=100))
    await asyncio.sleep(0)
    feed.publish(entry(100), 0)
    assert await following == [100]

"""Mutation of G10: a watch that is resumed leaves out the first record after its cursor."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch
from tercio_common.journal.feed import Feed, Subscription

_subscribe = Feed.subscribe


def _subscribe_one_later(feed: Feed, after: int | None) -> Subscription:
    return _subscribe(feed, None if after is None else min(after + 1, feed.committed))


if __name__ == "__main__":
    mutated: Any = Feed
    mutated.subscribe = _subscribe_one_later
    launch()

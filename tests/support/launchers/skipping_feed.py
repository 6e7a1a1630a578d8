"""Mutation of G10: a reader that fell behind is not told so; it goes on with the present."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch
from tercio_common.errors import Refusal
from tercio_common.journal.feed import FeedEntry, Subscription

_pending = Subscription.pending


def _skip(reader: Subscription) -> list[FeedEntry]:
    try:
        return _pending(reader)
    except Refusal as refusal:
        if refusal.reason != "READER_TOO_SLOW":
            raise
        feed: Any = reader._feed
        reader._after, reader._next = feed.committed, feed._dropped + len(feed._ring)
        return []


if __name__ == "__main__":
    mutated: Any = Subscription
    mutated.pending = _skip
    launch()

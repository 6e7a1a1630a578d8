"""Watches that show what is: everything at first, and then whatever changed. They need no cursor: open them again.

Several changes may be told as one; the last one is never left out. What is told was rendered in the moment that it
shows, and leaves once that moment is durable.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import Gauge

from tercio_common.machine.term import Term

Key = TypeVar("Key", int, str)
Row = TypeVar("Row")
Message = TypeVar("Message")


class Seen(NamedTuple, Generic[Key, Message]):
    """What changed since what was told before.

    Attributes:
        changed: what is new or other than before; at first everything.
        gone: keys of what is no more.
        seq: the last record that this shows.
        besides: a table that is only looked at may have changed; so it is at first.
    """

    changed: list[Message]
    gone: list[Key]
    seq: int
    besides: bool


async def follow(
    term: Term,
    *,
    present: Callable[[], Mapping[Key, Row]],
    show: Callable[[Row], Message],
    besides: Collection[str] = (),
    watches: Gauge,
) -> AsyncGenerator[Seen[Key, Message], None]:
    """Give what is `present`, as `show` renders it, and what changes; changes of the tables `besides` are told as well.

    While it is read it counts as one of the open `watches`.

    Raises:
        Refusal: READER_TOO_SLOW, or the leadership ended.
    """
    feed = term.feed.subscribe(None)
    shown: Mapping[Key, Row] = {}
    touched = True
    watches.inc()
    try:
        while True:
            now, seq = present(), term.tip.seq
            changed = [show(row) for key, row in sorted(now.items()) if shown.get(key) != row]
            gone = sorted(key for key in shown if key not in now)
            await term.committed(seq)
            if changed or gone or touched:
                yield Seen(changed, gone, seq, touched)
            shown = now
            touched = any(entry.changes.rows(table) for entry in await anext(feed) for table in besides)
    finally:
        watches.dec()

"""What every open stream of a leader has in common: it speaks after commits, and it ends with the leadership.

A stream reads in one task and writes in another. What it reads is proposed at once, without waiting for commits; what
it has to say is gathered while it writes, so that a slow reader gets fewer and larger messages. A reader that does not
read at all stops being read from, and is cut when what it must be told piles up.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar

from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term

MAX_UNCOMMITTED = 64
"""Frames of one stream whose acknowledgement is outstanding, 16 MB of frames at most: then it is read no further."""

Entry = TypeVar("Entry", bound=tuple[Any, ...])
ResponseT = TypeVar("ResponseT")


class ServedStream(ABC, Generic[Entry, ResponseT]):
    """One stream, bound to the leadership in which it began.

    `outstanding` holds what may be said once a commit has passed: entries whose first element is its number.
    """

    def __init__(self, term: Term) -> None:
        self.term = term
        self.outstanding: deque[Entry] = deque()
        self.finished = False
        self._error: Exception | None = None
        self._left_behind = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def wake(self) -> None:
        """Look for something to say."""
        self._news.set()

    def committed(self) -> None:
        """A commit has passed."""
        if self.outstanding:
            self._news.set()

    def finish(self, error: Exception | None) -> None:
        """End the stream once everything outstanding is said; the first error counts."""
        if not self.finished:
            self.finished, self._error = True, error
            self._news.set()
            self._room.set()

    def leave_behind(self, refusal: Refusal) -> None:
        """End the stream at once: the leadership ended, and nothing of it may be said any more."""
        self._left_behind = True
        self.finished, self._error = True, refusal
        self._news.set()
        self._room.set()

    async def add_outstanding(self, entry: Entry) -> None:
        """Say this after its commit; wait while too much is outstanding."""
        self.outstanding.append(entry)
        if len(self.outstanding) > MAX_UNCOMMITTED:
            await self.wait_for_room()

    async def wait_for_room(self) -> None:
        """Wait until little enough is outstanding, or the stream is finished."""
        while len(self.outstanding) > MAX_UNCOMMITTED and not self.finished:
            self._room.clear()
            await self._room.wait()

    def take_outstanding(self) -> Iterator[Entry]:
        """Give what may be said by now."""
        committed, outstanding = self.term.committer.committed, self.outstanding
        while outstanding and outstanding[0][0] <= committed:
            yield outstanding.popleft()
        self._room.set()

    async def responses(self) -> AsyncIterator[ResponseT]:
        """Give every response until the stream is finished; raises what it was finished with."""
        while not self.is_over():
            await self._news.wait()
            self._news.clear()
            while not self._left_behind and (response := self.next_response()) is not None:
                self.term.check_may_release()
                yield response
        if self._left_behind and (farewell := self.farewell()) is not None:
            yield farewell
        if self._error is not None:
            raise self._error

    def is_over(self) -> bool:
        """Tell whether nothing more will be said."""
        return self.finished and (self._left_behind or not self.outstanding)

    @abstractmethod
    def next_response(self) -> ResponseT | None:
        """Return what there is to say by now, as far as it fits into one message."""

    def farewell(self) -> ResponseT | None:
        """Return the last word to a client that is to go to another leader."""
        return None


class OpenStreams:
    """Every open stream of one replica."""

    def __init__(self) -> None:
        self._open: set[ServedStream[Any, Any]] = set()

    def add(self, stream: ServedStream[Any, Any]) -> None:
        """Follow commits with this stream."""
        self._open.add(stream)

    def remove(self, stream: ServedStream[Any, Any]) -> None:
        """The stream is closed."""
        self._open.discard(stream)

    def committed(self, _seq: int) -> None:
        """Tell every stream that a commit has passed."""
        for stream in self._open:
            stream.committed()

    async def end_with_leadership(self, host: Host) -> None:
        """Be an effect: when it is cancelled the leadership is over, and so is every stream."""
        term = host.term
        try:
            await asyncio.Event().wait()
        finally:
            refusal = _draining() if term.draining else _not_leader()
            for stream in tuple(self._open):
                stream.leave_behind(refusal)


async def refuse_when_durable(term: Term, refusal: Refusal) -> Refusal:
    """Return a refusal once the state that it tells of is durable."""
    await term.committed(term.tip.seq)
    return refusal


def _not_leader() -> Refusal:
    return Refusal("NOT_LEADER", "this replica does not lead any more; connect to the leader", retry_after_ms=100)


def _draining() -> Refusal:
    return Refusal("DRAINING", "this replica is stopping; retry, and another one answers", retry_after_ms=100)

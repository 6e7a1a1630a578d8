"""Listings page by page, and watches that resume by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import grpc

from tercio.rpc.backoff import Backoff, is_retryable
from tercio.rpc.channels import Reconnect, Route
from tercio.rpc.errors import CallError
from tercio.rpc.status import error_of

ItemT = TypeVar("ItemT")

_RESUMABLE: Final = frozenset({"READER_TOO_SLOW", "STREAM_REPLACED"})


class Page(NamedTuple, Generic[ItemT]):
    """One page of a listing.

    Attributes:
        items: in the listing's order.
        next_page_token: empty after the last page.
        cursor: watch from here to see every change since the first page.
    """

    items: Sequence[ItemT]
    next_page_token: str
    cursor: str


class Change(NamedTuple, Generic[ItemT]):
    """What one message of a watch says: the items after the change, and where to resume."""

    items: Sequence[ItemT]
    cursor: str


class Source(Protocol[ItemT]):
    """What can be listed and watched."""

    route: Route

    def page(self, token: str) -> Awaitable[Page[ItemT]]:
        """Read one page; the empty token is the first."""
        ...

    def watch(self, cursor: str) -> grpc.aio.UnaryStreamCall[Any, Any]:
        """Open a stream of changes."""
        ...

    def change(self, response: Any) -> Change[ItemT]:
        """Read one message of the stream."""
        ...


async def listed(read_page: Callable[[str], Awaitable[Page[ItemT]]]) -> AsyncIterator[ItemT]:
    """Yield the items of every page."""
    token = ""
    while True:
        page = await read_page(token)
        for item in page.items:
            yield item
        token = page.next_page_token
        if not token:
            return


class Watch(Generic[ItemT]):
    """Yields items as they change, for ever; `async for` over it, and close it when you stop before its end.

    It resumes by itself from its cursor. When the cursor is too old it lists again, so an item may come without having
    changed, and of several changes in between only the last is seen.

    Attributes:
        cursor: resume here; changes up to it were yielded.
    """

    def __init__(self, source: Source[ItemT], *, cursor: str = "", existing: bool = False) -> None:
        """Watch from a cursor, or from now.

        Args:
            source: what to watch.
            cursor: of an earlier watch.
            existing: without a cursor, yield first what there is already.
        """
        self.cursor = cursor
        self._source = source
        self._existing = existing
        self._changes = self._watch()

    def __aiter__(self) -> AsyncIterator[ItemT]:
        """Return itself."""
        return self._changes

    async def __anext__(self) -> ItemT:
        """Return the next changed item."""
        return await anext(self._changes)

    async def aclose(self) -> None:
        """End the watch."""
        await self._changes.aclose()

    async def __aenter__(self) -> Watch[ItemT]:
        """Return itself; leaving the block ends the watch."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the watch."""
        await self.aclose()

    async def _watch(self) -> AsyncGenerator[ItemT, None]:
        reconnect = Reconnect(self._source.route, Backoff())
        # Without a cursor of our own, whatever changes between two streams would be missed.
        relist = self._existing
        while True:
            if not self.cursor:
                async for item in self._list(include=relist):
                    yield item
            tried = self._source.route.address
            error: CallError | None = None
            try:
                async with contextlib.aclosing(self._stream(reconnect)) as items:
                    async for item in items:
                        yield item
            except grpc.RpcError as failure:
                error = error_of(failure)
            if error is not None and error.reason == "CURSOR_COMPACTED":
                self.cursor, relist = "", True
            elif error is not None and not is_retryable(error) and error.reason not in _RESUMABLE:
                raise error
            await reconnect.wait(error, tried=tried)

    async def _list(self, *, include: bool) -> AsyncGenerator[ItemT, None]:
        token, cursor = "", ""
        while True:
            page = await self._source.page(token)
            cursor = cursor or page.cursor
            for item in page.items if include else ():
                yield item
            token = page.next_page_token
            if not token or not include:
                break
        self.cursor = cursor

    async def _stream(self, reconnect: Reconnect) -> AsyncGenerator[ItemT, None]:
        call = self._source.watch(self.cursor)
        try:
            async for response in call:
                reconnect.succeeded()
                change = self._source.change(response)
                for item in change.items:
                    yield item
                self.cursor = change.cursor
        finally:
            call.cancel()  # nothing else ends a call that is left early

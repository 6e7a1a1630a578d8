"""Stopping without surprises: new calls are refused, streams are told to go elsewhere, unary calls finish."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from tercio_common.errors import Refusal
from tercio_common.rpc.incoming import Incoming

_RETRY_MS = 100


class Draining:
    """See the module."""

    def __init__(self) -> None:
        """Start by taking every call."""
        self.refusing = False
        self._streams: set[asyncio.Task[Any]] = set()
        self._sent_away: set[asyncio.Task[Any]] = set()

    def refuse_new(self) -> None:
        """From now on, answer new calls with DRAINING."""
        self.refusing = True

    def close_streams(self) -> None:
        """End every open stream with DRAINING."""
        for task in self._streams - self._sent_away:
            self._sent_away.add(task)
            task.cancel()

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Refuse with DRAINING, or follow the stream until it ends."""
        if self.refusing:
            raise _draining()
        task = asyncio.current_task()
        if call.method.unary or task is None:
            yield
            return
        self._streams.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._sent_away or task.uncancel() > 0:
                raise  # the client went first
            raise _draining() from None
        finally:
            self._streams.discard(task)
            self._sent_away.discard(task)


def _draining() -> Refusal:
    return Refusal("DRAINING", "this replica is stopping; retry, and another one answers", retry_after_ms=_RETRY_MS)

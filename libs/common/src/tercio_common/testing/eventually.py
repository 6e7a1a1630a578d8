"""Waiting for a condition without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_POLL_S = 0.005


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, within_ms: int = ...) -> T: ...


@overload
async def eventually(condition: Callable[[], T], *, within_ms: int = ...) -> T: ...


async def eventually(condition: Callable[[], T | Awaitable[T]], *, within_ms: int = 30_000) -> T:
    """Return what `condition` gives as soon as that is true; the time is for a loaded machine, not for the test.

    Raises:
        AssertionError: it never was; the message shows what it gave last.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_ms / 1000
    while True:
        last = condition()
        value = await last if inspect.isawaitable(last) else last
        if value:
            return value
        if loop.time() >= deadline:
            raise AssertionError(f"not true within {within_ms} ms; at the end it was {value!r}")
        await asyncio.sleep(_POLL_S)

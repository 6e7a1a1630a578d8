"""What an agent is configured with: the fleet sends it, the agent's own function takes it.

It promises that an older document never follows a newer one, and that one which the function refused is not in force.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from tercio.errors import HandlerError, SettingsError

Document: TypeAlias = Mapping[str, Any]
ConfigureHandler: TypeAlias = Callable[[Any], Awaitable[Document | None] | Document | None]
ConfigureT = TypeVar("ConfigureT", bound=ConfigureHandler)

_NOTHING: Final[Document] = MappingProxyType({})


class Configuration:
    """The configuration of one agent."""

    def __init__(self) -> None:
        self._handler: ConfigureHandler | None = None
        self._document: Document = _NOTHING
        self._seen = 0
        self._applied = 0
        self._one_at_a_time = asyncio.Lock()

    @property
    def document(self) -> Document:
        """What is in force; empty while nothing is. Not to be changed."""
        return self._document

    def set_handler(self, handler: ConfigureHandler) -> None:
        """Let `handler` take what is sent.

        Raises:
            SettingsError: there is one already.
        """
        if self._handler is not None:
            raise SettingsError("the agent has a function for its configuration already")
        self._handler = handler

    async def take(self, payload: bytes) -> bytes:
        """Apply what is sent, a number and a document on lines of their own; return what is in force then.

        Raises:
            HandlerError: it is older than what was sent before.
            Exception: what the agent's function raises; the former document is in force.
        """
        number, _, text = payload.decode().partition("\n")
        revision = int(number)
        async with self._one_at_a_time:
            if revision < self._seen:
                message = f"revision {revision} came after {self._seen}"
                raise HandlerError(message, reason="STALE_CONFIGURATION")
            self._seen = revision
            if revision != self._applied:
                text = await self._apply(text)
                self._applied = revision
        return json.dumps({"revision": revision, "digest": sha256(text.encode()).hexdigest()}).encode()

    async def _apply(self, text: str) -> str:
        """Return what is in force: the text as it was sent, unless the function says something else."""
        document: Document = json.loads(text)
        if self._handler is not None:
            answer = self._handler(document)
            used = await answer if inspect.isawaitable(answer) else answer
            if used is not None and used != document:
                document = used
                text = json.dumps(used, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        self._document = MappingProxyType(dict(document))
        return text

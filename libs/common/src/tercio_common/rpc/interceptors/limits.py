"""How much is taken on at once. The size of a message is limited by gRPC itself, from the same settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tercio_common.errors import Refusal
from tercio_common.rpc.incoming import Incoming

_RETRY_MS = 200


class Limits:
    """Refuses unary calls over a number. Streams are few and long, and have their own flow control."""

    def __init__(self, *, max_unary_calls: int) -> None:
        """Take on so many at once."""
        self._most = max_unary_calls
        self._present = 0

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Count the call, or refuse with OVERLOADED."""
        if not call.method.unary:
            yield
            return
        if self._present >= self._most:
            raise Refusal("OVERLOADED", f"{self._most} calls are being handled; retry later", retry_after_ms=_RETRY_MS)
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1

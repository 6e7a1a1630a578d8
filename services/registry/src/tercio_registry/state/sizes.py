"""About how much the rows of tables take in a snapshot."""

from __future__ import annotations

from typing import Any, Protocol


class Sized(Protocol):
    """A row that knows its size."""

    @property
    def size_bytes(self) -> int:
        """About what the row costs in a snapshot."""
        ...


class Sizes:
    """Index of any number of tables: the sum over all their rows."""

    def __init__(self) -> None:
        self.size_bytes = 0

    def changed(self, key: Any, old: Sized | None, new: Sized | None) -> None:
        """See `Index`."""
        if old is not None:
            self.size_bytes -= old.size_bytes
        if new is not None:
            self.size_bytes += new.size_bytes

"""When the holders of blocks are lost."""

from __future__ import annotations

from tercio_common.leasing.timers import Timers
from tercio_resources.state.budget_rows import BlockRow


class BlockTimers(Timers[tuple[str, str]]):
    """When each holder is lost; an index of the table of blocks."""

    def __init__(self) -> None:
        super().__init__("block")

    def changed(self, key: tuple[str, str], old: BlockRow | None, new: BlockRow | None) -> None:
        """See `Index`."""
        if new is None:
            self.drop(key)
        elif old is None or new.until != old.until:
            self.set(key, new.until)

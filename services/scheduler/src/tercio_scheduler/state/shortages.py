"""What the resources service refused last: session state, so that nobody asks again before something has changed.

A refusal tells as of which record of that service it was decided. A change of its pools after that record ends the
shortage. Quotas change without a word, so it ends after a while in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tercio_scheduler.state.rows import Needs

_LONGEST_MS: Final = 10_000
_MOST: Final = 10_000
"""Shortages that are kept in mind; more only cost tries in vain."""


class Gap(NamedTuple):
    """What is missing in one dimension; `bound` is `pool`, `quota` or `owner`."""

    dimension: str
    required: int
    available: int
    bound: str


class Shortage(NamedTuple):
    """One refusal: its reason in the catalogue, and when, in ms of fleet time and in records of that service."""

    reason: str
    gaps: tuple[Gap, ...]
    now: int
    seq: int


@dataclass(slots=True)
class Shortages:
    """The last refusal of each kind of needs, and the last change of the pools."""

    _last: dict[Needs, Shortage] = field(default_factory=dict)
    _changed: int = 0

    def __bool__(self) -> bool:
        """Tell whether anything was refused."""
        return bool(self._last)

    def note(self, needs: Needs, shortage: Shortage) -> None:
        """Note a refusal."""
        if len(self._last) >= _MOST:
            self._last.clear()
        self._last[needs] = shortage

    def granted(self, needs: Needs) -> None:
        """Note that such needs were met."""
        self._last.pop(needs, None)

    def pools_changed(self, seq: int) -> None:
        """Note that the pools are known as of that record."""
        self._changed = seq

    def stands(self, needs: Needs, now: int) -> bool:
        """Tell whether asking for such needs would be in vain, as far as is known."""
        shortage = self._last.get(needs)
        return shortage is not None and self._changed <= shortage.seq and now < shortage.now + _LONGEST_MS

    def of(self, needs: Needs) -> Shortage | None:
        """Return the last refusal of such needs, if they were not met since."""
        return self._last.get(needs)

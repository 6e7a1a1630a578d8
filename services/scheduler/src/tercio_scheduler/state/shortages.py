"""What was refused last: session state, so that nobody asks again before something has changed.

A refusal tells as of which record of the service that refused it was decided. A change there after that record ends the
shortage; one for its cost ends only when limits changed, however much is given back. Some changes pass without a word,
so it ends after a while in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tercio_scheduler.state.participants import RESOURCES
from tercio_scheduler.state.rows import ClaimSpec, Needs

_LONGEST_MS: Final = 10_000
_OVER_COST: Final = "COST_LIMIT_REACHED"
_MOST: Final = 10_000
"""Shortages that are kept in mind; more only cost tries in vain."""


class Gap(NamedTuple):
    """What is missing in one dimension; `bound` is `pool`, `quota` or `owner`, and `most` what there could ever be.

    Over a cost limit, the dimension is `cost` and `bound` is whose limit it is.
    """

    dimension: str
    required: int
    available: int
    bound: str
    most: int = 0


class Blocker(NamedTuple):
    """A claim that is in the way, and who holds it or waits for it and goes first."""

    owner: str
    claim: ClaimSpec


class Shortage(NamedTuple):
    """One refusal.

    Attributes:
        reason: in the catalogue.
        gaps: what was missing.
        now: when, in ms of fleet time.
        seq: as of which record of the service that refused.
        participant: that service.
        since: when such needs were first refused without having been met, in ms of fleet time.
        blockers: claims that were in the way.
    """

    reason: str
    gaps: tuple[Gap, ...]
    now: int
    seq: int
    participant: str = RESOURCES
    since: int = 0
    blockers: tuple[Blocker, ...] = ()

    @property
    def may_end(self) -> bool:
        """Whether it fits once enough is given back, as pools and quotas are set."""
        return bool(self.gaps) and not self.is_of_cost and all(gap.required <= gap.most for gap in self.gaps)

    @property
    def is_of_cost(self) -> bool:
        """Whether a cost limit was reached, which nothing that is given back changes."""
        return self.reason == _OVER_COST


@dataclass(slots=True)
class Shortages:
    """The last refusal of each kind of needs, and the last change at each service."""

    _last: dict[Needs, Shortage] = field(default_factory=dict)
    _changed: dict[str, int] = field(default_factory=dict)
    _limited: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything was refused."""
        return bool(self._last)

    def note(self, needs: Needs, shortage: Shortage) -> None:
        """Note a refusal."""
        if len(self._last) >= _MOST:
            self._last.clear()
        before = self._last.get(needs)
        self._last[needs] = shortage._replace(since=before.since if before is not None else shortage.now)

    def granted(self, needs: Needs) -> None:
        """Note that such needs were met."""
        self._last.pop(needs, None)

    def changed(self, participant: str, seq: int, *, limits: bool = False) -> None:
        """Note that what a service has is known as of that record, and whether limits may have changed since before."""
        self._changed[participant] = seq
        if limits:
            self._limited[participant] = seq

    def stands(self, needs: Needs, now: int) -> bool:
        """Tell whether asking for such needs would be in vain, as far as is known."""
        shortage = self._last.get(needs)
        if shortage is None or now >= shortage.now + _LONGEST_MS:
            return False
        changed = self._limited if shortage.is_of_cost else self._changed
        return changed.get(shortage.participant, 0) <= shortage.seq

    def of(self, needs: Needs) -> Shortage | None:
        """Return the last refusal of such needs, if they were not met since."""
        return self._last.get(needs)

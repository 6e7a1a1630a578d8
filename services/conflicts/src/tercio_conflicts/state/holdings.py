"""Who holds what: the claims by owner and by thing, kept in step with their table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from tercio_conflicts.state.effort import UNBOUNDED, Effort
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.overlaps import Overlaps
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.things import Thing

_NOTHING: Mapping[int, None] = {}


class Holdings:
    """Index of the table of claims."""

    def __init__(self) -> None:
        self._edited: Overlaps[int] = Overlaps()
        self._others: Overlaps[int] = Overlaps()
        self.by_mode = Counter[Mode]()
        """How many claims there are."""
        self.returned = 0
        """Rises whenever who waits may be served: something was given back, or handed over."""
        self._owners: dict[str, dict[int, None]] = {}

    def changed(self, key: int, old: ClaimRow | None, new: ClaimRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self._leave(old.owner, key)
            self._of_mode(old.mode).remove(old.thing, key)
            self.by_mode[old.mode] -= 1
            self.returned += 1
        if new is not None:
            self._owners.setdefault(new.owner, {})[key] = None
            self._of_mode(new.mode).add(new.thing, key)
            self.by_mode[new.mode] += 1

    def on(self, thing: Thing) -> Iterator[int]:
        """Give the numbers of the claims on what overlaps a thing."""
        yield from self._edited.of(thing)
        yield from self._others.of(thing)

    def against(self, thing: Thing, mode: Mode, effort: Effort = UNBOUNDED) -> Iterator[int]:
        """Give those that are incompatible with a mode. What is compatible is not even compared."""
        yield from self._edited.of(thing, effort)
        if mode is Mode.EXCLUSIVE:
            yield from self._others.of(thing, effort)

    def of(self, owner: str) -> Collection[int]:
        """Return the numbers of what an owner holds, the oldest first."""
        return self._owners.get(owner, _NOTHING)

    def owners(self) -> Collection[str]:
        """Return everybody who holds something."""
        return self._owners.keys()

    def unknown(self, owners: Mapping[str, int]) -> list[str]:
        """Return those of the owners that hold fewer claims than this."""
        return [owner for owner, count in owners.items() if len(self._owners.get(owner, ())) < count]

    def _of_mode(self, mode: Mode) -> Overlaps[int]:
        return self._edited if mode is Mode.EXCLUSIVE else self._others

    def _leave(self, owner: str, key: int) -> None:
        held = self._owners[owner]
        del held[key]
        if not held:
            del self._owners[owner]

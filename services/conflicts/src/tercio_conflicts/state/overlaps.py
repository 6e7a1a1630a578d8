"""Which of the things that are known overlap a thing.

Exact names are looked up. Only globs are compared, and of those only with what may meet them: each is entered under its
literal directory, so a path looks at the directories above it, and a glob also at what is sorted below its own. Most of
these are passed over by the literal end of their last segment, as `.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from sortedcontainers import SortedList

from tercio_conflicts.state.effort import OF_GLOBS, UNBOUNDED, Effort
from tercio_conflicts.state.globs import literal_prefix
from tercio_conflicts.state.things import Kind, Thing, overlap

Key = TypeVar("Key", bound=Hashable)
Place = tuple[str, str]
"""A scope and a path in it; of globs their literal directory."""
Ended = tuple[str, dict[Thing, None]]
"""How paths end, and the things of which all do."""
_AFTER_SLASH: Final = chr(ord("/") + 1)
_INTRICATE: Final = frozenset("[]{}\\,")


class Overlaps(Generic[Key]):
    """Keys by the thing that each stands for; several may stand for one."""

    def __init__(self) -> None:
        self._keys: dict[Thing, dict[Key, None]] = {}
        self._files, self._globs = _Line(), _Line()

    def add(self, thing: Thing, key: Key) -> None:
        """Enter a key."""
        keys = self._keys.get(thing)
        if keys is not None:
            keys[key] = None
            return
        self._keys[thing] = {key: None}
        if (found := self._line(thing)) is not None:
            line, place = found
            line.add(place, thing, _end(thing))

    def remove(self, thing: Thing, key: Key) -> None:
        """Remove a key that was entered."""
        keys = self._keys[thing]
        del keys[key]
        if keys:
            return
        del self._keys[thing]
        if (found := self._line(thing)) is not None:
            line, place = found
            line.remove(place, thing, _end(thing))

    def of(self, thing: Thing, effort: Effort = UNBOUNDED) -> Iterator[Key]:
        """Give every key whose thing overlaps this one; raises REQUEST_TOO_LARGE."""
        keys = self._keys
        yield from keys.get(thing, ())
        if thing.kind is Kind.FILE:
            candidates = self._above(thing.scope, thing.name) if self._globs else iter(())
        elif thing.kind is Kind.GLOB:
            candidates = self._around(thing.scope, _directory(thing.name))
        else:
            return
        end = _end(thing)
        for other_end, others in candidates:
            if end.endswith(other_end) or other_end.endswith(end):
                for other in others:
                    effort.spend(OF_GLOBS if thing.kind is other.kind else 1)
                    if other != thing and overlap(thing, other):
                        yield from keys[other]

    def _line(self, thing: Thing) -> tuple[_Line, Place] | None:
        if thing.kind is Kind.FILE:
            return self._files, (thing.scope, thing.name)
        if thing.kind is Kind.GLOB:
            return self._globs, (thing.scope, _directory(thing.name))
        return None

    def _above(self, scope: str, path: str) -> Iterator[Ended]:
        """Give the globs whose directory is this path, or one that it is below of."""
        end = len(path)
        while True:
            yield from self._globs.at((scope, path[: max(0, end)]))
            if end <= 0:
                return
            end = path.rfind("/", 0, end)

    def _around(self, scope: str, directory: str) -> Iterator[Ended]:
        """Give what a glob of that directory may meet."""
        yield from self._above(scope, directory)
        if not directory:  # everything in the scope; the next one begins no earlier than this
            first, last = (scope, "\0"), (f"{scope}\0", "")
        else:
            yield from self._files.at((scope, directory))
            first, last = (scope, f"{directory}/"), (scope, f"{directory}{_AFTER_SLASH}")
        yield from self._globs.between(first, last)
        yield from self._files.between(first, last)


class _Line:
    """Things by their place, in order."""

    def __init__(self) -> None:
        self._things: dict[Place, dict[str, dict[Thing, None]]] = {}
        self._places: Any = SortedList()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self._things)

    def add(self, place: Place, thing: Thing, end: str) -> None:
        by_end = self._things.get(place)
        if by_end is None:
            self._things[place] = {end: {thing: None}}
            self._places.add(place)
        else:
            by_end.setdefault(end, {})[thing] = None

    def remove(self, place: Place, thing: Thing, end: str) -> None:
        by_end = self._things[place]
        del by_end[end][thing]
        if not by_end[end]:
            del by_end[end]
        if not by_end:
            del self._things[place]
            self._places.remove(place)

    def at(self, place: Place) -> Iterable[Ended]:
        by_end = self._things.get(place)
        return by_end.items() if by_end is not None else ()

    def between(self, first: Place, last: Place) -> Iterator[Ended]:
        """Give what is from `first` on and before `last`."""
        for place in self._places.irange(first, last, inclusive=(True, False)):
            yield from self._things[place].items()


def _directory(pattern: str) -> str:
    return "/".join(literal_prefix(pattern))


def _end(thing: Thing) -> str:
    """Return how every path of a thing ends, as far as that is plain to see."""
    if thing.kind is Kind.FILE:
        return thing.name
    segment = thing.name.rpartition("/")[2]
    if not _INTRICATE.isdisjoint(segment):
        return ""
    return segment[max(segment.rfind("*"), segment.rfind("?")) + 1 :]

"""How much one decision may compare: it holds up everybody else for as long as it takes."""

from __future__ import annotations

from typing import Final

from tercio_common.errors import Refusal

MOST_COMPARED: Final = 100_000
"""Comparisons of a path with a glob, of some 3 µs each. Ten globs are held against ten thousand files."""
OF_GLOBS: Final = 8
"""A comparison of two globs counts as much as so many."""


class Effort:
    """What a decision may still compare."""

    def __init__(self, most: int = MOST_COMPARED) -> None:
        self._left = most

    def spend(self, count: int) -> None:
        """Count comparisons.

        Raises:
            Refusal: REQUEST_TOO_LARGE.
        """
        self._left -= count
        if self._left < 0:
            message = (
                "too much of what is claimed has to be compared with these globs; ask for fewer at once, or for globs "
                "of one folder"
            )
            raise Refusal("REQUEST_TOO_LARGE", message)


class Unbounded(Effort):
    """For what is not asked by a call."""

    def spend(self, count: int) -> None:
        """See `Effort`."""


UNBOUNDED: Final = Unbounded()

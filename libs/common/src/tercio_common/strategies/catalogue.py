"""Catalogues: the strategies of one kind by name, those that come with Tercio and those that are installed beside it.

An installed one is an entry point of the group `tercio.strategies.<kind>`. It replaces none that is built in, so that
a name means the same on every replica.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

StrategyT = TypeVar("StrategyT", bound=Callable[..., Any])


class Catalogue(Generic[StrategyT]):
    """Strategies of one kind."""

    def __init__(self, kind: str, strategies: Mapping[str, StrategyT]) -> None:
        """Hold these strategies."""
        self.kind = kind
        self._strategies = dict(sorted(strategies.items()))

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a strategy of that name."""
        return name in self._strategies

    def __getitem__(self, name: str) -> StrategyT:
        """Return a strategy; raises KeyError."""
        return self._strategies[name]

    @property
    def names(self) -> Sequence[str]:
        """Return every name, in order."""
        return tuple(self._strategies)

    def description(self, name: str) -> str:
        """Say in a sentence what a strategy does."""
        return (self[name].__doc__ or "").strip().partition("\n")[0]


def installed(
    kind: str, built_in: Mapping[str, StrategyT], *, found: Sequence[EntryPoint] | None = None
) -> Catalogue[StrategyT]:
    """Return the catalogue of a kind with what is installed; `found` stands for the entry points in tests.

    Raises:
        ValueError: an installed strategy has the name of a built-in one, or two have the same.
    """
    strategies = dict(built_in)
    for entry in entry_points(group=f"tercio.strategies.{kind}") if found is None else found:
        if entry.name in strategies:
            raise ValueError(
                f"two strategies for {kind} are called {entry.name!r}; rename the entry point {entry.value}"
            )
        strategies[entry.name] = entry.load()
    return Catalogue(kind, strategies)

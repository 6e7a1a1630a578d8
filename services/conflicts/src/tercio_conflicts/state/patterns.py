"""Learned patterns: what each strategy achieved for conflicts of a type, and in which context.

A chain is tried in the order that ends conflicts soonest on average: by the chance of success for the time that a try
takes. Conflicts that are alike count as much as they are alike; without experience the order is that of the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tercio_conflicts.state.dispute_rows import ConflictRow, PatternRow

MOST_PATTERNS: Final = 1_000
"""Kept; the one that was used longest ago goes first."""
_FEATURES: Final = frozenset({"type", "kind", "topic", "contradiction_type", "claimed"})
"""Of a conflict's context those that others may have as well."""
_MOST_AGENTS: Final = 8
_PRIOR_TRIES: Final = 2.0
"""What is expected of a strategy before it was tried weighs as much as two tries."""
_PRIOR_SUCCESS: Final = 0.5
_PRIOR_MS: Final = 30_000.0
"""How long a try takes, before anybody knows."""
_ALIKE: Final = 0.25
"""Conflicts that have less in common say nothing about each other."""
_LEAD: Final = 1.15
"""So much better must a strategy be to go before one that the chain has first."""


def features_of(row: ConflictRow) -> tuple[str, ...]:
    """Return what a conflict has in common with others."""
    found = {f"{key}={value}" for key, value in row.context if key in _FEATURES}
    resource = dict(row.context).get("resource", "")
    if "." in resource.rpartition("/")[2]:
        found.add(f"extension={resource.rpartition('.')[2]}")
    return tuple(sorted({*found, f"severity={row.severity.name.lower()}"}))


def similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """Return which part of all features two contexts share, from 0 to 1."""
    first, second = set(one), set(other)
    return len(first & second) / len(first | second) if first or second else 1.0


def ordered(chain: Sequence[str], row: ConflictRow, patterns: Iterable[PatternRow]) -> tuple[str, ...]:
    """Return a chain in the order in which it is to be tried."""
    features = features_of(row)
    known = [(similarity(each.features, features), each) for each in patterns if each.type == row.type]
    alike = [(weight, each) for weight, each in known if weight >= _ALIKE]
    scores = {name: _score(name, alike) for name in chain}
    left, found = list(chain), list[str]()
    while left:
        best = left[0]
        for name in left[1:]:
            if scores[name] > _LEAD * scores[best]:
                best = name
        found.append(best)
        left.remove(best)
    return tuple(found)


def _score(name: str, alike: Iterable[tuple[float, PatternRow]]) -> float:
    """Return the chance of success per ms: tried in this order, the expected time to the first success is least."""
    tries, successes, time = _PRIOR_TRIES, _PRIOR_TRIES * _PRIOR_SUCCESS, _PRIOR_TRIES * _PRIOR_MS
    for weight, each in alike:
        if each.strategy == name:
            tries += weight * each.tries
            successes += weight * each.successes
            time += weight * (each.duration + each.spent)
    return (successes / tries) / max(1.0, time / tries)


def learned(
    before: PatternRow | None, row: ConflictRow, strategy: str, *, succeeded: bool, duration: int, now: int
) -> PatternRow:
    """Return the pattern after one more try."""
    old = before or PatternRow(row.type, strategy, features_of(row), 0, 0, 0, 0, (), now)
    agents = tuple(dict.fromkeys((*row.agents, *old.agents)))[:_MOST_AGENTS]
    return old._replace(
        tries=old.tries + 1,
        successes=old.successes + succeeded,
        duration=old.duration + (duration if succeeded else 0),
        spent=old.spent + (0 if succeeded else duration),
        agents=agents,
        used_now=now,
    )


def page_key(row: PatternRow) -> str:
    """Return by what patterns are listed."""
    return "\n".join((row.type, row.strategy, *row.features))

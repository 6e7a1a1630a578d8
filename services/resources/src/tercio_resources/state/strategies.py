"""Which strategies are in use: named in the state, so that every leader uses the same, and swapped by a command."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from tercio_common.errors import Refusal
from tercio_common.machine.table import Table
from tercio_common.strategies.catalogue import Catalogue
from tercio_common.strategies.protocol import Candidate, Choosing, Sharing, Wish
from tercio_resources.state.rows import StrategyRow
from tercio_resources.state.rules import Rules


class Subject(IntEnum):
    """What a strategy is for; the numbers are those of the contract and of the records."""

    CHOOSING = 1
    SHARING = 2


def catalogue(subject: int, rules: Rules) -> Catalogue[Any]:
    """Return the strategies that there are."""
    return rules.choosing if subject == Subject.CHOOSING else rules.sharing


def in_use(subject: Subject, strategies: Table[StrategyRow], rules: Rules) -> str:
    """Return the name of the strategy in use.

    That of the settings is used until another one was set, and where this replica has no strategy of the name that was.
    """
    row = strategies.get(int(subject))
    if row is not None and row.name in catalogue(subject, rules):
        return row.name
    return rules.default_choosing if subject is Subject.CHOOSING else rules.default_sharing


def choosing(strategies: Table[StrategyRow], rules: Rules) -> Choosing:
    """Return the strategy by which a pool is chosen."""
    return rules.choosing[in_use(Subject.CHOOSING, strategies, rules)]


def sharing(strategies: Table[StrategyRow], rules: Rules) -> Sharing:
    """Return the strategy by which it is decided who is served first."""
    return rules.sharing[in_use(Subject.SHARING, strategies, rules)]


def checked(row: StrategyRow, rules: Rules) -> StrategyRow:
    """Return a row whose strategy exists; raises STRATEGY_NOT_FOUND."""
    known = catalogue(row.subject, rules)
    if row.name not in known:
        message = f"there is no strategy {row.name!r} for {known.kind}; there are {', '.join(known.names)}"
        raise Refusal("STRATEGY_NOT_FOUND", message)
    return row


def chosen(candidates: list[Candidate], wish: Wish, strategy: Choosing) -> Candidate:
    """Return the candidate with the lowest rank.

    Raises:
        Refusal: RESOURCE_ALLOCATION_EXCEPTION when the strategy, which may be anybody's, fails.
    """
    if len(candidates) == 1:
        return candidates[0]
    try:
        return min(candidates, key=lambda each: (*strategy(each, wish), each.name))
    except Exception as error:
        message = f"the strategy for choosing a pool failed with {type(error).__name__}; set another one"
        raise Refusal("RESOURCE_ALLOCATION_EXCEPTION", message) from error

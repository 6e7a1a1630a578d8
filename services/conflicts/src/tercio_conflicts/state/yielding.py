"""Yielding: holders are asked to release, and have time that depends on who asks and for how long.

The priority of a request rises with its age, as that of a waiting call does. Once it is over the priority of the claim,
the holder has the grace; then the claim is released in any case. So the moment is known when the request is made, and a
holder that watches its claims is told of it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_conflicts.state.claims import present
from tercio_conflicts.state.commands import Acquire, Item, RequestRelease
from tercio_conflicts.state.events import ReleasesRequested
from tercio_conflicts.state.rows import MOST_ITEMS, ClaimRow, Obstacle, Yield
from tercio_conflicts.state.rules import Rules

if TYPE_CHECKING:
    from tercio_conflicts.state.grants import Ledger


def request(command: RequestRelease, at: Moment, *, claims: Table[ClaimRow], rules: Rules) -> ReleasesRequested | None:
    """Decide a request; None when every claim yields as early already.

    Raises:
        Refusal: CLAIM_NOT_FOUND.
    """
    rows = [present(number, claims) for number in dict.fromkeys(command.numbers)]
    return _requested(rows, command, at, rules)


def asked(event: ReleasesRequested, claims: Table[ClaimRow]) -> Iterable[ClaimRow]:
    """Return the rows after a request."""
    for number, yield_at in zip(event.numbers, event.yield_at, strict=True):
        yield claims[number]._replace(yields=Yield(yield_at, event.asked_by, event.because))


def make_way(
    obstacles: dict[int, Obstacle],
    command: Acquire,
    items: Sequence[Item],
    at: Moment,
    *,
    ledger: Ledger,
    rules: Rules,
) -> tuple[dict[int, Obstacle], list[ReleasesRequested]]:
    """Ask holders of lower priorities to yield to the items that are refused; return the obstacles with their number.

    Nobody is asked for an item to which not all that is in the way would yield: it would not be enough.
    """
    answered = dict(obstacles)
    chosen: dict[str, dict[int, ClaimRow]] = {}
    for index, obstacle in obstacles.items():
        item = items[index]
        if obstacle.reason != "CLAIM_CONFLICT" or any(not blocker.number for blocker in ledger.blockers(item)):
            continue
        rows = list(islice(ledger.holders(item), MOST_ITEMS + 1))
        if len(rows) > MOST_ITEMS or any(row.terms.priority >= command.terms.priority for row in rows):
            continue
        answered[index] = obstacle._replace(yielding=len(rows))
        chosen.setdefault(item.owner, {}).update((row.number, row) for row in rows)
    events = []
    for owner, by_number in chosen.items():
        wish = RequestRelease(
            numbers=(), asked_by=owner, priority=command.terms.priority, because=command.terms.purpose
        )
        if (event := _requested(by_number.values(), wish, at, rules)) is not None:
            events.append(event)
    return answered, events


def _requested(rows: Iterable[ClaimRow], command: RequestRelease, at: Moment, rules: Rules) -> ReleasesRequested | None:
    sooner: dict[int, int] = {}
    for row in rows:
        missing = max(0, row.terms.priority + 1 - command.priority)
        yield_at = at.now + missing * rules.ageing + rules.grace
        if row.yields is None or yield_at < row.yields.at:
            sooner[row.number] = yield_at
    if not sooner:
        return None
    return ReleasesRequested(tuple(sooner), tuple(sooner.values()), command.asked_by, command.because)

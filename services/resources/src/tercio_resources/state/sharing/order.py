"""Who is served first: as the strategy of the day ranks them. Waiting raises a priority."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tercio_common.strategies.protocol import Sharing, Waiter
from tercio_resources.state.waiting import Ticket


def in_order(
    tickets: Iterable[Ticket], *, now: int, ageing: int, shares: Mapping[str, float], strategy: Sharing
) -> list[Ticket]:
    """Return the tickets, the first to be served first.

    Args:
        tickets: who waits.
        now: fleet time in ms.
        ageing: ms of waiting that raise a priority by one.
        shares: dominant share of each tenant.
        strategy: ranks them; of equal ranks who came first is served first.
    """

    def rank(each: Ticket) -> tuple[float, ...]:
        raised = each.priority + (now - each.since) // ageing
        return (*strategy(Waiter(raised, shares.get(each.tenant, 0.0), each.arrival)), each.arrival)

    return sorted(tickets, key=rank)

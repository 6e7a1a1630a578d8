"""Who is served first: by priority, which rises with waiting, then by dominant share, then by arrival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tercio_resources.state.waiting import Ticket


def in_order(tickets: Iterable[Ticket], *, now: int, ageing: int, shares: Mapping[str, float]) -> list[Ticket]:
    """Return the tickets, the first to be served first.

    Args:
        tickets: who waits.
        now: fleet time in ms.
        ageing: ms of waiting that raise a priority by one.
        shares: dominant share of each tenant.
    """
    return sorted(
        tickets,
        key=lambda each: (
            -(each.priority + (now - each.since) // ageing),
            shares.get(each.tenant, 0.0),
            each.arrival,
        ),
    )

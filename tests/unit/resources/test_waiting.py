"""Who waits is served by priority, which rises with waiting, then by dominant share, then by arrival."""

from __future__ import annotations

import pytest

from support.resources_machine import Driver, spec
from tercio_common.errors import Refusal
from tercio_common.strategies import sharing
from tercio_common.strategies.protocol import Sharing
from tercio_resources.state.commands import Allocate
from tercio_resources.state.sharing.dominant_share import dominant_shares
from tercio_resources.state.sharing.order import in_order
from tercio_resources.state.waiting import Waiting

AGEING = 10_000


def asks(owner: str, *, tenant: str = "", priority: int = 0) -> Allocate:
    return Allocate(specs=(spec(tenant=tenant, priority=priority),), owners=(owner,))


def order(
    waiting: Waiting, *, now: int = 0, shares: dict[str, float] | None = None, strategy: Sharing = sharing.priority
) -> list[str]:
    found = in_order(waiting, now=now, ageing=AGEING, shares=shares or {}, strategy=strategy)
    return [each.command.owners[0] for each in found]


def test_priority_comes_first_and_waiting_raises_it() -> None:
    waiting = Waiting(most=10)
    waiting.enter(asks("early"), 0)
    waiting.enter(asks("urgent", priority=2), 19_000)
    assert order(waiting, now=19_000) == ["urgent", "early"]
    assert order(waiting, now=28_000) == ["early", "urgent"]


def test_of_equal_priorities_the_tenant_with_the_lower_dominant_share_comes_first() -> None:
    waiting = Waiting(most=10)
    waiting.enter(asks("rich", tenant="a"), 0)
    waiting.enter(asks("poor", tenant="b"), 0)
    shares = dominant_shares({("a", "cpu"): 10, ("a", "memory"): 50, ("b", "cpu"): 40}, {"cpu": 100, "memory": 100})
    assert shares == {"a": 0.5, "b": 0.4}
    assert order(waiting, shares=shares) == ["poor", "rich"]


def test_another_strategy_serves_the_poorest_tenant_or_who_came_first() -> None:
    waiting = Waiting(most=10)
    for owner, tenant, priority in (("first", "a", 0), ("urgent", "a", 5), ("poor", "b", 0)):
        waiting.enter(asks(owner, tenant=tenant, priority=priority), 0)
    shares = {"a": 0.5}
    assert order(waiting, shares=shares) == ["urgent", "poor", "first"]
    assert order(waiting, shares=shares, strategy=sharing.dominant_share) == ["poor", "urgent", "first"]
    assert order(waiting, shares=shares, strategy=sharing.arrival) == ["first", "urgent", "poor"]


def test_the_queue_is_bounded() -> None:
    waiting = Waiting(most=1)
    ticket = waiting.enter(asks("a"), 0)
    with pytest.raises(Refusal, match="QUEUE_FULL"):
        waiting.enter(asks("b"), 0)
    waiting.leave(ticket)
    waiting.leave(ticket)
    waiting.enter(asks("b"), 0)


def test_what_is_kept_for_who_waited_long_is_granted_to_nobody_else() -> None:
    driver = Driver()
    driver.session.waiting.enter(asks("patient"), 0)
    assert driver.grant("quick")
    driver.session.waiting.kept = frozenset({"cpu"})
    assert driver.grant("late") == 0

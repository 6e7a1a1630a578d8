"""Decisions: the highest word upwards, agreement downwards, and what kept either from its aim."""

from __future__ import annotations

import pytest

from tercio_scaling.state.decisions import Limit, Verdict, evaluate
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import NEVER, Memory
from tercio_scaling.state.triggers.protocol import Proposal

POOL = AgentPool("p", slots=2, least=1, most=10, up_step=4, down_step=2, window=60_000, sustained=300_000)
MINUTE = 60_000


def decide(
    seen: Observation,
    *,
    pool: AgentPool = POOL,
    memory: Memory | None = None,
    now: int = 0,
    affordable: int | None = None,
) -> Verdict:
    return evaluate(pool, seen, memory or Memory(), now, affordable=affordable)


def remembering(*needs: Observation, pool: AgentPool = POOL, every: int = MINUTE) -> tuple[Memory, int]:
    """See these, one a minute, and change nothing; return what is remembered and the next minute."""
    memory = Memory()
    for place, seen in enumerate(needs):
        memory = evaluate(pool, seen, memory, place * every).memory
    return memory._replace(changed=NEVER), len(needs) * every


def test_the_highest_proposal_wins_upwards_and_says_why() -> None:
    found = decide(Observation(waiting=3, running=4, ready=2))
    assert (found.before, found.agents, found.rule) == (2, 4, "queue_depth")
    assert found.reason == "3 tasks wait and 4 run, for 0 ms each"
    assert {each.trigger for each in found.proposals} == {"queue_depth", "utilisation"}


def test_there_is_no_cooldown_upwards() -> None:
    first = decide(Observation(waiting=4, running=4, ready=2))
    again = decide(Observation(waiting=8, running=4, ready=2, starting=2), memory=first.memory)
    assert (first.agents, again.agents) == (4, 6)


@pytest.mark.parametrize(
    ("pool", "affordable", "agents", "limits"),
    [
        pytest.param(POOL, None, 6, (Limit("maximum", 10), Limit("step", 6)), id="a step at a time"),
        pytest.param(POOL._replace(most=5), None, 5, (Limit("maximum", 5),), id="the pool's maximum"),
        pytest.param(
            POOL._replace(agent_cost=100, cost_limit=350),
            None,
            3,
            (Limit("maximum", 10), Limit("cost", 3)),
            id="what an hour may cost",
        ),
        pytest.param(POOL, 4, 4, (Limit("maximum", 10), Limit("resources", 4)), id="the resources of the fleet"),
        pytest.param(
            POOL, 1, 2, (Limit("maximum", 10), Limit("resources", 2)), id="nobody leaves for want of resources"
        ),
    ],
)
def test_what_keeps_a_pool_from_growing_is_named(
    pool: AgentPool, affordable: int | None, agents: int, limits: tuple[Limit, ...]
) -> None:
    found = decide(Observation(waiting=40, running=4, ready=2), pool=pool, affordable=affordable)
    assert (found.wanted, found.agents, found.limits) == (22, agents, limits)


def test_below_the_minimum_agents_are_added_at_once_and_above_the_maximum_removed() -> None:
    low = decide(Observation(), pool=POOL._replace(least=9))
    assert (low.agents, low.rule) == (9, "minimum")
    memory = Memory(began=0, changed=0)
    high = decide(Observation(ready=14, running=28), memory=memory, now=1)
    assert (high.agents, high.rule) == (10, "maximum")


def test_a_dip_removes_nobody() -> None:
    memory, now = remembering(Observation(running=12, ready=6), every=1)
    assert decide(Observation(running=1, ready=6), memory=memory, now=now).agents == 6


def test_little_use_for_the_window_removes_a_step() -> None:
    memory, now = remembering(*[Observation(running=2, ready=6)] * 3)
    found = decide(Observation(running=2, ready=6), memory=memory, now=now)
    assert (found.wanted, found.agents, found.rule) == (2, 4, "utilisation")
    assert found.limits == (Limit("step", 4),)


def test_between_the_thresholds_only_sustained_low_demand_removes_anybody() -> None:
    half = Observation(running=8, ready=8)
    memory, now = remembering(half, half)
    held = decide(half, memory=memory, now=now)
    assert (held.agents, held.rule) == (8, "utilisation")
    memory, now = remembering(Observation(running=16, ready=8), *[half] * 7)
    found = decide(half, memory=memory, now=now)
    assert (found.wanted, found.agents, found.rule) == (5, 6, "sustained_low_demand")


def test_after_a_change_nobody_is_removed_before_the_cooldown_is_over() -> None:
    calm = Observation(running=2, ready=6)
    memory, now = remembering(*[calm] * 3)
    changed = memory._replace(changed=now - 1)
    early = decide(calm, memory=changed, now=now)
    assert (early.agents, early.limits) == (6, (Limit("cooldown", 6),))
    assert decide(calm, memory=changed, now=now - 1 + POOL.cooldown).agents == 4


def test_who_leaves_counts_as_gone_and_who_was_lost_is_replaced() -> None:
    found = decide(Observation(running=2, ready=2, leaving=3, failed=1))
    assert (found.before, found.agents, found.rule) == (2, 3, "replacement")


def test_a_pool_without_triggers_keeps_what_it_has() -> None:
    pool = POOL._replace(triggers=())
    found = decide(Observation(ready=3, waiting=9), pool=pool, now=10**9)
    assert (found.agents, found.rule) == (3, "none")


def test_a_trigger_that_is_not_installed_any_more_keeps_everybody() -> None:
    pool = POOL._replace(triggers=("queue_depth", "gone"))
    memory, now = remembering(*[Observation(ready=6)] * 9, pool=pool)
    found = decide(Observation(ready=6), pool=pool, memory=memory, now=now)
    assert found.agents == 6
    assert Proposal("gone", 6, "no trigger 'gone' is installed any more, so nobody leaves") in found.proposals

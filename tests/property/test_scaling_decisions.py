"""Decisions over any course of events: within bounds, never in haste, and the same when they are drawn again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tercio_scaling.state.decisions import evaluate
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import Memory, highest, remembered

COUNTS = st.integers(0, 200)
TIMES = st.integers(0, 10**7)
OBSERVATIONS = st.builds(
    Observation,
    waiting=COUNTS,
    oldest_wait=TIMES,
    running=COUNTS,
    mean_run=TIMES,
    response=TIMES,
    response_before=TIMES,
    starting=st.integers(0, 5),
    leaving=COUNTS,
    failed=st.integers(0, 3),
    foreseen=st.integers(-1, 200),
)
POOLS = st.builds(
    lambda slots, least, more, up, down, cooldown, window, sustained, target: AgentPool(
        "p",
        slots=slots,
        least=least,
        most=least + more,
        up_step=up,
        down_step=down,
        cooldown=cooldown,
        window=window,
        sustained=sustained,
        response_target=target,
    ),
    st.integers(1, 8),
    st.integers(0, 5),
    st.integers(0, 20),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(0, 600_000),
    st.integers(0, 600_000),
    st.integers(0, 600_000),
    st.integers(0, 60_000),
)
STEPS = st.lists(st.tuples(OBSERVATIONS, st.integers(0, 120_000)), max_size=30)


@given(POOLS, STEPS, st.none() | st.integers(0, 30))
def test_the_number_of_agents_stays_within_its_bounds_and_never_falls_in_haste(
    pool: AgentPool, steps: list[tuple[Observation, int]], affordable: int | None
) -> None:
    memory, now, agents = Memory(), 0, pool.least
    needs: list[tuple[int, int]] = []
    for seen, later in steps:
        now += later
        starting = min(seen.starting, agents)
        seen = seen._replace(starting=starting, ready=agents - starting)
        found = evaluate(pool, seen, memory, now, affordable=affordable)
        assert found == evaluate(pool, seen, memory, now, affordable=affordable)
        firm = max((each.agents for each in found.proposals if not each.yields), default=0)
        needs.append((now, firm))
        assert pool.least <= found.agents <= pool.most
        assert found.agents <= agents + pool.up_step
        assert found.agents <= max(agents, affordable if affordable is not None else pool.most)
        if found.agents < agents:
            assert now >= memory.changed + pool.cooldown
            assert found.agents >= agents - pool.down_step
            within = pool.window if found.rule == "utilisation" else pool.sustained
            assert now - needs[0][0] >= within
            assert found.agents >= max(need for at, need in needs if at > now - within or at == now)
        elif firm > agents and found.agents == agents:
            assert found.limits
        assert bool(found.limits) == (found.agents != found.wanted)
        memory, agents = found.memory, found.agents
        assert len(memory.needs) <= 18


@given(POOLS, st.lists(st.tuples(st.integers(0, 60_000), COUNTS), min_size=1, max_size=40))
def test_no_need_is_forgotten_too_early(pool: AgentPool, needs: list[tuple[int, int]]) -> None:
    memory, now, seen = Memory(), 0, []
    for later, need in needs:
        now += later
        memory = remembered(memory, pool, need, now)
        seen.append((now, need))
        for within in (pool.window, pool.sustained):
            recent = max(need for at, need in seen if at > now - within or at == now)
            remembers = highest(memory, now, within=within)
            assert (remembers is None) == (now - seen[0][0] < within)
            assert remembers is None or remembers >= recent

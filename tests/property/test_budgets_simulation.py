"""A fleet and a provider on a clock of their own: the quota is used, shared alike, and hardly ever overdrawn."""

from __future__ import annotations

import pytest

from support.provider import MINUTE, Caller, Provider, Simulation, jain
from tercio.blocks import NOTHING, Amount, Block
from tercio_resources.state.budget_commands import Ask, ReportThrottled
from tercio_resources.state.budget_rows import BudgetRow, Spending

AGENTS = 512
TOKENS = 2_000_000
MINUTES = 2


@pytest.mark.parametrize("requests", [100_000, 1_500], ids=["tokens-are-scarce", "requests-are-scarce"])
def test_512_agents_use_the_quota_alike_and_are_not_refused(requests: int) -> None:
    world = Simulation(BudgetRow("openai", rates=Spending(TOKENS, requests), burst=10_000))
    provider = Provider(TOKENS, requests)
    for index in range(AGENTS):
        Caller(f"agent-{index}", world, provider, budget="openai", tokens=(500, 1_000, 1_500, 2_000)[index % 4])
    world.run(MINUTES * MINUTE)
    scarce, quota = (provider.used, TOKENS) if requests == 100_000 else (provider.served, requests)
    assert sum(scarce.values()) > 0.95 * quota * MINUTES
    assert provider.refused < 0.001 * provider.calls
    assert sum(max(0, used - TOKENS) for used in provider.by_minute.values()) < 0.01 * TOKENS * MINUTES
    names = [f"agent-{index}" for index in range(AGENTS)]
    dominant = [max(provider.used[name] * requests, provider.served[name] * TOKENS) for name in names]
    assert jain(dominant) > 0.95


def test_agents_stop_when_the_provider_refuses_and_go_on_afterwards() -> None:
    world = Simulation(BudgetRow("openai", rates=Spending(600_000), burst=10_000))
    provider = Provider(600_000, 100_000)
    for index in range(64):
        Caller(f"agent-{index}", world, provider, budget="openai", tokens=1_000)
    world.run(MINUTE)
    world.do(ReportThrottled("openai", 20_000))
    before = sum(provider.used.values())
    world.run(20_000)
    # What was leased in advance may still be spent: at most one burst.
    assert sum(provider.used.values()) - before <= 100_000
    world.run(2 * MINUTE)
    assert provider.by_minute[2] > 0.95 * 600_000


def test_parents_that_wait_for_children_eight_deep_do_not_keep_them_waiting() -> None:
    # A call costs a third of all that can ever be saved up: eight that held theirs would wait for ever.
    world = Simulation(BudgetRow("openai", rates=Spending(60_000), burst=3_000))
    chains = [0] * 16

    def call(chain: int, depth: int) -> None:
        def attempt() -> None:
            outcome = world.lease(f"agent-{chain}-{depth}", Ask("openai", need=Spending(1_000)))
            if outcome.reason:
                world.after(outcome.retry_after, attempt)
            elif depth < 8:
                call(chain, depth + 1)
            else:
                chains[chain] += 1  # only now do its eight calls end, the deepest first

        attempt()

    for chain in range(len(chains)):
        call(chain, 1)
    world.run(16 * 8 * 1_000 + MINUTE)
    assert chains == [1] * len(chains)


def test_a_block_keeps_count_of_what_it_spends_and_of_what_calls_used_in_the_end() -> None:
    block = Block()
    block.answered(Amount(1_000, 5), sent=0, ttl=15_000)
    assert block.take(Amount(400, 1), 10)
    assert not block.take(Amount(601, 1), 10)
    block.correct(Amount(400, 1), Amount(300, 1), 20)
    assert block.left == Amount(700, 4)
    block.correct(Amount(300, 1), Amount(1_200, 1), 30)
    assert block.left == Amount(0, 4)
    assert block.report(NOTHING, NOTHING, 40).spent == Amount(1_200, 1)
    assert not block.take(Amount(0, 1), 15_000), "its time is over"

"""Whether agents that were found gone were gone shows when they come back, or do not."""

from __future__ import annotations

from prometheus_client import REGISTRY

from support.registry import FIRST, SECOND, TTL_MS, Registry
from tercio_common.testing.eventually import eventually


def verdicts(verdict: str) -> float:
    return REGISTRY.get_sample_value("tercio_registry_gone_verdicts_total", {"verdict": verdict}) or 0


async def test_a_process_that_comes_back_was_not_gone_and_one_that_is_replaced_or_forgotten_was(
    registry: Registry,
) -> None:
    right, wrong = verdicts("right"), verdicts("wrong")
    for agent_id in ("alive", "replaced", "forgotten"):
        await registry.register(agent_id, instance_id=FIRST)
    await registry.clock.advance(TTL_MS + 1_000)
    await registry.register("alive", instance_id=FIRST)
    await registry.register("replaced", instance_id=SECOND)
    await eventually(lambda: (verdicts("right"), verdicts("wrong")) == (right + 1, wrong + 1))
    await registry.clock.advance(60_000)
    await eventually(lambda: (verdicts("right"), verdicts("wrong")) == (right + 2, wrong + 1))

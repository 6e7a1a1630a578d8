"""One table: each trace under each policy, and whether Tercio clears the bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tercio_scaling.simulation.play import Played, play
from tercio_scaling.simulation.policies import FixedMost, Oracle, Policy, Reactive, Tercio
from tercio_scaling.simulation.traces import Trace
from tercio_scaling.state.pools import AgentPool

POOL = AgentPool(
    "simulated",
    slots=4,
    least=1,
    most=22,
    up_threshold=1_000,
    down_threshold=700,
    up_step=10,
    down_step=10,
    window=480_000,
    sustained=480_000,
)
"""Agents of four slots, for whom waiting for half a minute is no harm: it pays to fill every slot."""
LEAST_SAVING = 0.25
MOST_OVER_ORACLE = 1.15


def compare(trace: Trace, pool: AgentPool = POOL) -> dict[str, Played]:
    """Play a trace against every policy."""
    policies: dict[str, Policy] = {
        "tercio": Tercio(pool),
        "fixed": FixedMost(pool),
        "reactive": Reactive(pool),
        "oracle": Oracle(pool, trace),
    }
    return {name: play(trace, pool, policy) for name, policy in policies.items()}


def missed_bars(trace: str, played: Mapping[str, Played]) -> Iterator[str]:
    """Give each bar that Tercio does not clear, as a sentence."""
    tercio, fixed = played["tercio"], played["fixed"]
    if not tercio.holds:
        yield f"{trace}: {tercio.misses} of {tercio.tasks} tasks waited for too long"
    if tercio.agent_hours > (1 - LEAST_SAVING) * fixed.agent_hours:
        yield f"{trace}: {tercio.agent_hours:.1f} agent-hours are too near the {fixed.agent_hours:.1f} of a fixed fleet"
    if trace == "daily_wave" and tercio.agent_hours > MOST_OVER_ORACLE * played["oracle"].agent_hours:
        yield f"{trace}: {tercio.agent_hours:.1f} agent-hours, {played['oracle'].agent_hours:.1f} would have done"
    if tercio.flaps > played["reactive"].flaps:
        yield f"{trace}: {tercio.flaps} flaps, {played['reactive'].flaps} under the reactive rule"


def lines(trace: str, played: Mapping[str, Played]) -> Iterator[str]:
    """Give a line a policy."""
    for name, each in played.items():
        late = 100 * each.misses / max(1, each.tasks)
        yield (
            f"{trace:<12} {name:<9} {each.tasks:>7} tasks {late:6.2f} % late {each.agent_hours:8.1f} agent-hours"
            f" {each.changes:>5} changes {each.flaps:>4} flaps"
        )

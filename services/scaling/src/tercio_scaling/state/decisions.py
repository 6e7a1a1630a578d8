"""How many agents a pool is to have: the highest word of its triggers, within its bounds, and not in haste downwards.

Upwards the highest proposal wins, at once. Downwards all must agree, for a while: to the highest need of the window
when little of the slots is busy, and to that of a longer time otherwise. What kept a decision from its aim is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import Memory, highest, remembered
from tercio_scaling.state.triggers.catalogue import TRIGGERS
from tercio_scaling.state.triggers.protocol import Proposal, Trigger

_HOLD: Final = Proposal("none", 0, "no trigger has anything to say")


class Limit(NamedTuple):
    """What kept a decision from its aim: `minimum`, `maximum`, `step`, `cost`, `resources` or `cooldown`."""

    name: str
    agents: int


class Verdict(NamedTuple):
    """A decision.

    Attributes:
        agents: how many there are to be.
        before: how many there were.
        wanted: how many there would be without limits.
        rule: what won: the name of a trigger, `sustained_low_demand`, `minimum` or `maximum`.
        reason: a sentence for people.
        proposals: every word of a trigger.
        limits: what kept it from `wanted`, in the order in which they were met.
        memory: for the next decision.
    """

    agents: int
    before: int
    wanted: int
    rule: str
    reason: str
    proposals: tuple[Proposal, ...]
    limits: tuple[Limit, ...]
    memory: Memory


def evaluate(
    pool: AgentPool,
    seen: Observation,
    memory: Memory,
    now: int,
    *,
    affordable: int | None = None,
    triggers: Mapping[str, Trigger] = TRIGGERS,
) -> Verdict:
    """Decide; `affordable` is how many agents the resources of the fleet allow, None for any number."""
    found = (_word(name, pool, seen, triggers) for name in pool.triggers)
    proposals = tuple([each for each in found if each is not None])
    firm = max((each for each in proposals if not each.yields), key=_agents, default=_HOLD)
    need = max([firm.agents, *(each.least for each in proposals)])  # fewer than that would be asked for again at once
    memory = remembered(memory, pool, need, now)
    before = seen.agents
    if before < pool.least:
        wanted, won = pool.least, Proposal("minimum", pool.least, f"{pool.least} agents are always there")
    elif before > pool.most:
        wanted, won = pool.most, Proposal("maximum", pool.most, f"{pool.most} agents are never exceeded")
    elif firm.agents > before:
        wanted, won = firm.agents, firm
    else:
        wanted, won = _downwards(pool, before, proposals, memory, now)
    agents, limits = _limited(pool, before, wanted, memory, now, affordable=affordable)
    if agents != before:
        memory = memory._replace(changed=now)
    return Verdict(agents, before, wanted, won.trigger, won.why, proposals, limits, memory)


def _word(name: str, pool: AgentPool, seen: Observation, triggers: Mapping[str, Trigger]) -> Proposal | None:
    if name in triggers:
        return triggers[name](pool, seen)
    return Proposal(name, seen.agents, f"no trigger {name!r} is installed any more, so nobody leaves")


def _agents(proposal: Proposal) -> int:
    return proposal.agents


def _downwards(
    pool: AgentPool, before: int, proposals: tuple[Proposal, ...], memory: Memory, now: int
) -> tuple[int, Proposal]:
    holding = max((each for each in proposals if each.yields), key=_agents, default=None)
    within = pool.sustained if holding is not None else pool.window
    need = highest(memory, now, within=within)
    if need is None or need >= before or not proposals:
        return before, holding or max(proposals, key=_agents, default=_HOLD)
    why = f"at most {need} agents were needed for {within} ms"
    return need, Proposal("sustained_low_demand" if holding is not None else "utilisation", need, why)


def _limited(
    pool: AgentPool, before: int, wanted: int, memory: Memory, now: int, *, affordable: int | None
) -> tuple[int, tuple[Limit, ...]]:
    """Return what may be had of what is wanted now, and what stands against the rest."""
    if wanted == before:
        return before, ()
    if wanted < before:
        return _limited_down(pool, before, wanted, memory, now)
    ceilings = {"maximum": pool.most}
    if pool.cost_limit and pool.agent_cost:
        ceilings["cost"] = pool.cost_limit // pool.agent_cost
    if affordable is not None:
        ceilings["resources"] = affordable
    if before >= pool.least:
        ceilings["step"] = before + pool.up_step
    agents, limits = wanted, []
    for name, most in ceilings.items():
        if most < agents:
            agents = max(before, most)
            limits.append(Limit(name, agents))
    return agents, tuple(limits)


def _limited_down(pool: AgentPool, before: int, wanted: int, memory: Memory, now: int) -> tuple[int, tuple[Limit, ...]]:
    if before <= pool.most and now < memory.changed + pool.cooldown:
        return before, (Limit("cooldown", before),)
    agents, limits = wanted, []
    for name, least in {"minimum": pool.least, "step": before - pool.down_step}.items():
        if least > agents and not (name == "step" and before > pool.most):
            agents = min(before, least)
            limits.append(Limit(name, agents))
    return agents, tuple(limits)

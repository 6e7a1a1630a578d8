"""Agent pools: what an agent of a pool is, and within which bounds their number moves."""

from __future__ import annotations

from typing import Final, NamedTuple

DEFAULT_TRIGGERS: Final = ("queue_depth", "waiting_age", "response_time", "utilisation", "replacement", "forecast")


class AgentPool(NamedTuple):
    """One pool as declared. Times in ms, thresholds in thousandths of the slots.

    Attributes:
        pool_id: the key.
        capabilities: (name, level) of each of its agents, sorted by name.
        slots: attempts that an agent runs at once.
        least: agents that are always there.
        most: agents that are never exceeded.
        triggers: names of those that are heard.
        up_threshold: more than this part of the slots busy asks for more agents.
        down_threshold: less than this part busy lets agents go after `window` already, not only after `sustained`.
        up_step: most agents that one decision adds.
        down_step: most agents that one decision removes.
        cooldown: from any change to the next one downwards. There is none upwards.
        window: agents go down to the highest need of this long, so that a dip moves nothing (stabilisation).
        sustained: a need that was lower for this long is sustained low demand, whatever part of the slots is busy.
        wait_target: how long a task may wait for a slot.
        response_target: how long waiting and running may take together; 0 is not judged.
        startup: how long an agent takes to start, as measured; what is foreseen is foreseen for then.
        agent_cost: of an agent and hour, in millionths of the fleet's currency.
        cost_limit: of the pool and hour, in the same; 0 is none.
    """

    pool_id: str
    capabilities: tuple[tuple[str, int], ...] = ()
    slots: int = 1
    least: int = 2
    most: int = 10
    triggers: tuple[str, ...] = DEFAULT_TRIGGERS
    up_threshold: int = 800
    down_threshold: int = 300
    up_step: int = 1
    down_step: int = 1
    cooldown: int = 300_000
    window: int = 60_000
    sustained: int = 300_000
    wait_target: int = 30_000
    response_target: int = 0
    startup: int = 60_000
    agent_cost: int = 0
    cost_limit: int = 0

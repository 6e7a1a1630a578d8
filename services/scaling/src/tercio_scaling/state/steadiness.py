"""What a pool remembers so that it does not flap: when it changed last, and the highest needs of late.

Needs are kept as steps, none shorter than a sixteenth of the longest time asked about: bounded, and never forgotten too
early. A need that stays what it was changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tercio_scaling.state.pools import AgentPool

NEVER: Final = -(1 << 62)
_INTERVALS: Final = 16


class Need(NamedTuple):
    """The highest need of a step, in agents, and when it began, in ms of fleet time. It lasts until the next one."""

    since: int
    agents: int


class Memory(NamedTuple):
    """Of one pool.

    Attributes:
        began: fleet time in ms since when it is kept; what was before is not known.
        changed: fleet time in ms of the last change.
        needs: the oldest first.
    """

    began: int = NEVER
    changed: int = NEVER
    needs: tuple[Need, ...] = ()


def remembered(memory: Memory, pool: AgentPool, need: int, now: int) -> Memory:
    """Return the memory with one more need: the same one when the need is what it was, so that nothing is written."""
    if memory.began == NEVER:
        memory = memory._replace(began=now)
    if not memory.needs:
        return memory._replace(needs=(Need(now, need),))
    last = memory.needs[-1]
    if need == last.agents or (need < last.agents and now < last.since + _interval(pool)):
        return memory
    if now < last.since + _interval(pool):
        return memory._replace(needs=(*memory.needs[:-1], last._replace(agents=need)))
    return memory._replace(needs=(*_recent(memory, now - max(pool.window, pool.sustained)), Need(now, need)))


def highest(memory: Memory, now: int, *, within: int) -> int | None:
    """Return the highest need of the last `within` ms; None while it is not known for so long."""
    if now - memory.began < within:
        return None
    return max((each.agents for each in _recent(memory, now - within)), default=0)


def _recent(memory: Memory, since: int) -> tuple[Need, ...]:
    """Return the needs that lasted until after `since`; the last one lasts still."""
    ends = [each.since for each in memory.needs[1:]]
    return (*(each for each, end in zip(memory.needs, ends, strict=False) if end > since), *memory.needs[-1:])


def _interval(pool: AgentPool) -> int:
    return max(1, max(pool.window, pool.sustained) // _INTERVALS)

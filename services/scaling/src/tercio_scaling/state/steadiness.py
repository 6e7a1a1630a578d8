"""What a pool remembers so that it does not flap: when it changed last, and the highest needs of late.

Needs are kept as maxima of intervals, each a sixteenth of the longest time asked about: bounded, and never forgotten
too early.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tercio_scaling.state.pools import AgentPool

NEVER: Final = -(1 << 62)
_INTERVALS: Final = 16


class Need(NamedTuple):
    """The highest need of an interval, in agents, and when it began, in ms of fleet time."""

    since: int
    agents: int


class Memory(NamedTuple):
    """Of one pool.

    Attributes:
        began: fleet time in ms since when it is kept; what was before is not known.
        changed: fleet time in ms of the last change.
        needs: by interval, the oldest first.
    """

    began: int = NEVER
    changed: int = NEVER
    needs: tuple[Need, ...] = ()


def remembered(memory: Memory, pool: AgentPool, need: int, now: int) -> Memory:
    """Return the memory with one more need, and without those that nobody asks about."""
    interval = _interval(pool)
    if memory.began == NEVER:
        memory = memory._replace(began=now)
    kept = tuple(each for each in memory.needs if each.since + interval > now - max(pool.window, pool.sustained))
    if kept and now < kept[-1].since + interval:
        last = kept[-1]._replace(agents=max(need, kept[-1].agents))
        return memory._replace(needs=(*kept[:-1], last))
    return memory._replace(needs=(*kept, Need(now, need)))


def highest(memory: Memory, pool: AgentPool, now: int, *, within: int) -> int | None:
    """Return the highest need of the last `within` ms; None while it is not known for so long."""
    if now - memory.began < within:
        return None
    interval = _interval(pool)
    return max((each.agents for each in memory.needs if each.since + interval > now - within), default=0)


def _interval(pool: AgentPool) -> int:
    return max(1, max(pool.window, pool.sustained) // _INTERVALS)

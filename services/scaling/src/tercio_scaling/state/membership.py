"""Who belongs to a pool: who came, how long that took, who left, and who is there and does not work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_scaling.state.rows import EXTERNAL, AgentRow, PoolRow, StateRow, VictimPhase
from tercio_scaling.state.sightings import AgentSeen, MemberSeen, PoolSeen
from tercio_scaling.state.victims import LEAVING

_WEIGHT: Final = 4
"""Of how long starting takes, the last agent counts a quarter: it follows a new image within a few of them."""


class Fleet(NamedTuple):
    """The agents of a pool by now.

    Attributes:
        ready: those that take work and are to stay.
        leaving: how many are cordoned or drain.
        failing: agent ids of members that have had the time to start and do not work.
        held: attempts on agents that are to stay.
    """

    ready: tuple[AgentSeen, ...]
    leaving: int
    failing: tuple[str, ...]
    held: int


def fleet(row: PoolRow, state: StateRow, seen: PoolSeen, at: Moment) -> Fleet:
    """Sort the agents that are seen by what they are good for."""
    members = members_of(row, seen)
    living = [each for each in seen.agents if each.living and (members is None or each.agent_id in members)]
    chosen = {each.agent_id for each in state.victims if each.phase != VictimPhase.RETURNING}
    stays = [each for each in living if not (each.cordoned or each.agent_id in chosen)]
    ready = tuple([each for each in stays if each.takes_work])
    known = {each.agent_id for each in living}
    failing = [
        each.agent_id
        for each in (members or {}).values()
        if each.agent_id not in known and at.wall - each.since_ms > row.startup_timeout
    ]
    return Fleet(ready, len(living) - len(stays), tuple(sorted(failing)), sum(each.held for each in stays))


def members_of(row: PoolRow, seen: PoolSeen) -> Mapping[str, MemberSeen] | None:
    """Return the members that nobody told to end, by agent id; None where no driver has any."""
    if row.driver == EXTERNAL:
        return None
    return {each.agent_id: each for each in seen.members if each.phase != LEAVING}


def joined(ready: tuple[AgentSeen, ...], known: Mapping[str, AgentRow], pool_id: str, at: Moment) -> list[AgentRow]:
    """Return who takes work for the first time."""
    return [AgentRow(pool_id, each.agent_id, at.wall) for each in ready if each.agent_id not in known]


def left(row: PoolRow, seen: PoolSeen, known: Mapping[str, AgentRow]) -> list[str]:
    """Return who was there and is not any more."""
    if row.driver == EXTERNAL:
        there = {each.agent_id for each in seen.agents if each.living}
    else:
        there = {each.agent_id for each in seen.members}
    return sorted(known.keys() - there)


def measured(row: PoolRow, state: StateRow, seen: PoolSeen, came: list[AgentRow], at: Moment) -> int:
    """Return how long an agent takes to start, by those that came now as well; ms, 0 while unknown.

    Those that were there before the pool was have not been started for it.
    """
    members = members_of(row, seen) or {}
    startup = state.startup
    for each in came:
        member = members.get(each.agent_id)
        if member is None or member.since_ms < row.created_wall:
            continue
        took = max(1, at.wall - member.since_ms)
        startup = took if not startup else startup + (took - startup) // _WEIGHT
    return startup

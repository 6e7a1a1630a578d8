"""Victims: who leaves, and how far it is.

Least value is lost first: idle ones, then who has done the least, then the youngest. The driver is told to let one go
only once it is idle, or has had the drain limit for finishing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_scaling.state.rows import StateRow, VictimPhase, VictimRow
from tercio_scaling.state.sightings import AgentSeen, MemberSeen, PoolSeen

LEAVING: Final = "leaving"
"""The phase of a member that was told to end."""
RUNNING: Final = "running"
"""The phase of a member that may become an agent at any moment, or is one already."""


class Progress(NamedTuple):
    """How far victims are.

    Attributes:
        victims: those that are still there.
        gone: agent ids of those that are not.
        overdue: agent ids of those that have not finished at the drain limit.
        spared: agent ids of those that stay because others left in their place.
    """

    victims: tuple[VictimRow, ...]
    gone: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()


def staying(state: StateRow, seen: PoolSeen) -> list[MemberSeen]:
    """Return the members that nobody told to end and that were not chosen."""
    chosen = {(each.agent_id, each.uid) for each in state.victims if each.phase != VictimPhase.RETURNING}
    return [each for each in seen.members if each.phase != LEAVING and (each.agent_id, each.uid) not in chosen]


def surplus(state: StateRow, seen: PoolSeen, *, kept: int, replaced: int) -> int:
    """Return how many are there that nobody decided and that the driver is asked for all the same.

    Somebody else asked for them, they work again after they were replaced, or they came after what was seen when fewer
    were decided.
    """
    undecided = len(staying(state, seen)) - state.decided - state.owed - replaced
    return max(0, min(undecided, seen.asked - kept))


def missing(state: StateRow, seen: PoolSeen) -> int:
    """Return how many of those that are to stay, or are too many, are not there at all: they go first."""
    return max(0, state.decided + state.owed - len(staying(state, seen)))


def chosen(count: int, state: StateRow, seen: PoolSeen, at: Moment) -> tuple[VictimRow, ...]:
    """Choose that many members, or all there are: those first with which the least is lost."""
    agents = {each.agent_id: each for each in seen.agents if each.living}
    returning = {each.agent_id for each in state.victims}
    candidates = [each for each in staying(state, seen) if each.agent_id not in returning]
    candidates.sort(key=lambda member: _value(member, agents.get(member.agent_id)))
    found = []
    for member in candidates[:count]:
        # Who is no agent yet has nothing to finish; whether who runs is one by now, the registry is asked first.
        may_work = member.agent_id in agents or member.phase == RUNNING
        phase = VictimPhase.CHOSEN if may_work else VictimPhase.LEAVING
        found.append(VictimRow(member.agent_id, phase, at.now, at.wall, member.uid))
    return tuple(found)


def _value(member: MemberSeen, agent: AgentSeen | None) -> tuple[bool, int, int, int, str]:
    """Return what is lost with a member, comparably."""
    if agent is None:
        return (False, 0, 0, -member.since_ms, member.agent_id)
    return (True, agent.held, agent.work, -(member.since_ms or agent.since_ms), member.agent_id)


def returned(count: int, victims: tuple[VictimRow, ...]) -> tuple[tuple[VictimRow, ...], tuple[str, ...]]:
    """Return the victims when that many of those that the driver was not told about are to stay, and who stays.

    Those that have the most to lose, which were chosen last, stay first.
    """
    back = [each.agent_id for each in reversed(victims) if each.holds][:count]
    return _returning(victims, set(back)), tuple(back)


def _returning(victims: tuple[VictimRow, ...], back: set[str]) -> tuple[VictimRow, ...]:
    return tuple([each._replace(phase=VictimPhase.RETURNING) if each.agent_id in back else each for each in victims])


def advanced(state: StateRow, seen: PoolSeen, at: Moment, *, drain_limit: int, kept: int) -> Progress:
    """Return how far the victims are, by what is seen; the driver is asked to keep `kept` agents."""
    members = {(each.agent_id, each.uid): each for each in seen.members}
    agents = {each.agent_id: each for each in seen.agents if each.living}
    there, gone, overdue = [], [], []
    for victim in state.victims:
        if victim.phase != VictimPhase.RETURNING and (victim.agent_id, victim.uid) not in members:
            gone.append(victim.agent_id)
            continue
        after = _finished(victim, agents)
        if after.holds and at.now >= victim.chosen_now + drain_limit:
            overdue.append(victim.agent_id)
            after = after._replace(phase=VictimPhase.LEAVING)
        there.append(after)
    spared = _spared(state, seen, members, kept)
    return Progress(_returning(tuple(there), spared), tuple(gone), tuple(overdue), tuple(sorted(spared)))


def _finished(victim: VictimRow, agents: Mapping[str, AgentSeen]) -> VictimRow:
    """Return how far a victim is that is to finish its work."""
    if victim.phase not in (VictimPhase.CORDONED, VictimPhase.DRAINING):
        return victim
    agent = agents.get(victim.agent_id)
    # Only what is seen to be given no new work is idle for good.
    idle = agent is None or (agent.cordoned and not agent.takes_work and not agent.held)
    return victim._replace(phase=VictimPhase.LEAVING if idle else VictimPhase.DRAINING)


def _spared(state: StateRow, seen: PoolSeen, members: Mapping[tuple[str, str], MemberSeen], kept: int) -> set[str]:
    """Return victims that are still there although the driver has let as many go as it was told: others left."""
    if seen.asked != kept or sum(each.phase != LEAVING for each in seen.members) > kept:
        return set()
    told = [each for each in state.victims if each.phase == VictimPhase.LEAVING]
    return {
        each.agent_id
        for each in told
        if (member := members.get((each.agent_id, each.uid))) is not None and member.phase != LEAVING
    }

"""Session state: what the leader knows from open streams alone.

It lives in the leader's memory, starts empty with each leadership, is changed by the edge and only read in `decide`.
Nothing here is journaled: what follows from it becomes events. All times are fleet time in ms.

An agent stays here after its stream closed, so that its lease runs on; `forget` removes it once nothing is outstanding.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from tercio_common.epochs import Epoch
from tercio_scheduler.state.queue_counts import QueueCounts
from tercio_scheduler.state.rows import Requirement
from tercio_scheduler.state.shortages import Shortages


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The registry's last word on an agent. It only subtracts: without one, the agent's Hello is enough."""

    cordoned: bool = False
    draining: bool = False
    unhealthy: bool = False
    gone: bool = False
    deaf: bool = False
    """It renews with the registry, but does not answer on its Work stream."""

    @property
    def takes_work(self) -> bool:
        """Whether the registry lets it have new work."""
        return not (self.cordoned or self.draining or self.unhealthy or self.gone or self.deaf)


GOOD_STANDING = Standing()

NEVER: Final = -(1 << 62)
_MOST_REQUIREMENTS: Final = 10_000
"""Requirements of which the agents able to meet them are remembered; more only cost the time to find them again."""
_MOST_STANDINGS: Final = 10_000
"""Words of the registry that are kept before those on agents that are gone are forgotten: about 2 MB."""
_STALE_ARRIVALS: Final = 1_000
"""Arrivals beyond the number of agents that are kept in mind: streams that were opened again."""


@dataclass(slots=True, kw_only=True)
class AgentLink:
    """One agent as its stream told.

    Attributes:
        agent_id: the agent.
        instance_id: its process.
        capabilities: level per capability, 1 to 100.
        concurrency: attempts that run at once.
        credit: attempts that it may hold in all, offered and started.
        task_types: those that it can run; empty means any.
        draining: it takes no new work and leaves when done.
        connected: its stream is open.
        renewed_at: when it was last heard from.
        unread: its stream is open and not read for now, so its silence is not its own.
        recalled: attempts that its stream was asked to return, number by task id; some may have ended.
        recalled_at: when it was last asked.
        standing: the registry's last word.
    """

    agent_id: str
    instance_id: bytes
    capabilities: Mapping[str, int]
    concurrency: int
    credit: int
    task_types: frozenset[str] = frozenset()
    draining: bool = False
    connected: bool = True
    renewed_at: int = 0
    unread: bool = False
    recalled: dict[str, int] = field(default_factory=dict)
    recalled_at: int = 0
    standing: Standing = GOOD_STANDING

    @property
    def takes_work(self) -> bool:
        """Whether new attempts may be offered to it at all, credit aside."""
        return self.connected and not self.draining and self.standing.takes_work

    def missing(self, requirement: Requirement) -> dict[str, int]:
        """Return the required level of each capability that the agent lacks."""
        have = self.capabilities
        return {name: level for name, level in requirement.capabilities if have.get(name, 0) < level}

    def fits(self, requirement: Requirement) -> bool:
        """Tell whether the agent could run such a task, credit and standing aside."""
        if requirement.target_agent_id and requirement.target_agent_id != self.agent_id:
            return False
        if self.task_types and requirement.task_type not in self.task_types:
            return False
        have = self.capabilities
        return all(have.get(name, 0) >= level for name, level in requirement.capabilities)


@dataclass(slots=True)
class _Able:
    """Agents able to meet one requirement, among the first `seen` arrivals; some may have left."""

    agents: set[str] = field(default_factory=set)
    seen: int = 0


@dataclass(slots=True)
class SchedulerSession:
    """Every agent that this leader has heard from.

    Attributes:
        epoch: the leadership.
        taken_over_at: fleet time of the take-over; set by the first command of the leadership.
        agents: by agent id.
        standings: the registry's last words, also on agents without a stream.
        progress: percent by task id, of running attempts.
        shortages: what was refused last.
        queue_counts: what came and went since somebody asked.
        away: services that grant and failed when they were asked last, with when they are asked again.
        renewals: when each service that grants was last asked, with success, to renew all grants; set by the renewal.
    """

    epoch: Epoch
    taken_over_at: int = 0
    agents: dict[str, AgentLink] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    progress: dict[str, int] = field(default_factory=dict)
    shortages: Shortages = field(default_factory=Shortages)
    renewals: dict[str, int] = field(default_factory=dict)
    queue_counts: QueueCounts = field(default_factory=QueueCounts)
    away: dict[str, int] = field(default_factory=dict)
    _most_standings: int = _MOST_STANDINGS
    _arrivals: list[str] = field(default_factory=list)
    _able: dict[Requirement, _Able] = field(default_factory=dict)

    def grants_renewed_at(self, participants: Iterable[str]) -> int:
        """When the grants of all these were renewed last; NEVER without any."""
        return min((self.renewals.get(each, NEVER) for each in participants), default=NEVER)

    def attach(
        self,
        agent_id: str,
        *,
        instance_id: bytes,
        capabilities: Mapping[str, int],
        concurrency: int,
        now: int,
        task_types: Iterable[str] = (),
        draining: bool = False,
    ) -> AgentLink:
        """Take up a stream that said Hello; it replaces any former one. Credit starts at `concurrency`."""
        link = AgentLink(
            agent_id=agent_id,
            instance_id=instance_id,
            capabilities=dict(capabilities),
            concurrency=concurrency,
            credit=concurrency,
            task_types=frozenset(task_types),
            draining=draining,
            renewed_at=now,
            standing=self.standings.get(agent_id, GOOD_STANDING),
        )
        self.agents[agent_id] = link
        if len(self._arrivals) > 2 * len(self.agents) + _STALE_ARRIVALS:
            self._arrivals = list(self.agents)
            self._able.clear()
        else:
            self._arrivals.append(agent_id)
        return link

    def detach(self, agent_id: str, *, instance_id: bytes) -> None:
        """Note that the stream of this process closed; its attempts stay until their lease ends."""
        link = self.agents.get(agent_id)
        if link is not None and link.instance_id == instance_id:
            link.connected = False

    def forget(self, agent_id: str) -> None:
        """Drop an agent that is not connected and holds nothing."""
        self.agents.pop(agent_id, None)

    def hear(self, agent_id: str, *, now: int) -> bool:
        """Note a message of the agent's stream, which renews its lease unless the agent answers nothing there.

        So a deaf agent loses what it holds at the end of its lease, and its stream is cut, which may cure it. Return
        whether the lease was renewed.
        """
        if self.standings.get(agent_id, GOOD_STANDING).deaf:
            return False
        self.renew(agent_id, now=now)
        return True

    def renew(self, agent_id: str, *, now: int) -> None:
        """Begin the agent's lease anew."""
        link = self.agents.get(agent_id)
        if link is not None and now > link.renewed_at:
            link.renewed_at = now

    def renewed_at(self, agent_id: str, *, now: int) -> int:
        """Return when the agent's lease began: no earlier than this leader began to listen, `now` while it does not."""
        link = self.agents.get(agent_id)
        if link is None:
            return self.taken_over_at
        return now if link.unread else max(link.renewed_at, self.taken_over_at)

    def set_credit(self, agent_id: str, *, credit: int) -> None:
        """Note how many attempts the agent may hold in all; 0 leaves it unchanged."""
        link = self.agents.get(agent_id)
        if link is not None and credit:
            link.credit = credit

    def set_draining(self, agent_id: str) -> None:
        """Note that the agent takes no new work from now on."""
        link = self.agents.get(agent_id)
        if link is not None:
            link.draining = True

    def set_standing(self, agent_id: str, standing: Standing | None) -> None:
        """Note the registry's last word on an agent; None when it no longer knows the agent."""
        if standing is None or standing == GOOD_STANDING:
            self.standings.pop(agent_id, None)
        else:
            self.standings[agent_id] = standing
            self._forget_gone()
        link = self.agents.get(agent_id)
        if link is not None:
            link.standing = standing or GOOD_STANDING

    def _forget_gone(self) -> None:
        """Keep no word on agents that are gone and never came here, once there are many: nobody takes them back."""
        if len(self.standings) > self._most_standings:
            self.standings = {id_: word for id_, word in self.standings.items() if not word.gone or id_ in self.agents}
            self._most_standings = max(_MOST_STANDINGS, 2 * len(self.standings))

    def note_recalled(
        self, agent_id: str, attempts: Iterable[tuple[str, Epoch, int]], *, held: Container[str], now: int
    ) -> None:
        """Note that the agent was asked to return these attempts; what it does not hold any more is forgotten."""
        link = self.agents.get(agent_id)
        if link is not None:
            link.recalled = {task_id: number for task_id, number in link.recalled.items() if task_id in held}
            link.recalled.update((task_id, number) for task_id, _, number in attempts)
            link.recalled_at = now

    def set_progress(self, task_id: str, *, percent: int) -> None:
        """Note how far a running attempt is, 0 to 100."""
        self.progress[task_id] = percent

    def drop_progress(self, task_id: str) -> None:
        """Forget the progress of a task whose attempt ended."""
        self.progress.pop(task_id, None)

    def connected(self) -> Iterator[AgentLink]:
        """Give every agent with an open stream."""
        return (link for link in self.agents.values() if link.connected)

    def able(self, requirement: Requirement) -> Set[str]:
        """Return the agents that could run such a task, credit and standing aside; some may have been forgotten.

        Each agent is compared with each requirement once, not at each dispatch.
        """
        able = self._able.get(requirement)
        if able is None:
            if len(self._able) >= _MOST_REQUIREMENTS:
                self._able.clear()
            able = self._able[requirement] = _Able()
        if able.seen < len(self._arrivals):
            for agent_id in self._arrivals[able.seen :]:
                link = self.agents.get(agent_id)
                if link is not None and link.fits(requirement):
                    able.agents.add(agent_id)
                else:
                    able.agents.discard(agent_id)
            able.seen = len(self._arrivals)
        return able.agents

    def free(self, outstanding: Mapping[str, Collection[str]]) -> list[tuple[AgentLink, int]]:
        """Return the agents that may be offered work, and how many attempts each has room for.

        Args:
            outstanding: tasks whose attempt an agent holds, by agent id.
        """
        get = outstanding.get
        return [
            (link, room)
            for link in self.agents.values()
            if (room := link.credit - len(get(link.agent_id, ()))) > 0 and link.takes_work
        ]

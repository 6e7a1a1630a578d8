"""A fleet that is played: agents start, run tasks, drain and go, on a clock of its own.

Tasks go to the fullest agent that has a free slot, so that others become idle and can leave; whoever runs the least
leaves first, and only once it is idle.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from tercio_scaling.simulation.traces import Task


@dataclass(slots=True, eq=False)
class Agent:
    """One agent; times in ms."""

    number: int
    asked_at: int
    busy: int = 0
    leaving: bool = False


@dataclass(slots=True)
class Fleet:
    """Agents of `slots` slots that take `startup` ms to start."""

    slots: int
    startup: int
    now: int = 0
    waiting: deque[Task] = field(default_factory=deque)
    waits: list[tuple[int, int]] = field(default_factory=list)
    """(arrival, wait) of each task that began."""
    agent_ms: int = 0
    """Time for which agents were paid, from when they were asked for until they were gone."""
    _ready: dict[int, Agent] = field(default_factory=dict)
    _starting: deque[Agent] = field(default_factory=deque)
    _ends: list[tuple[int, int, int]] = field(default_factory=list)
    _asked: int = 0
    ended: list[tuple[int, int]] = field(default_factory=list)
    """(when, for how long) of each attempt that ended."""

    @property
    def staying(self) -> list[Agent]:
        """Agents that are ready and take work."""
        return [agent for agent in self._ready.values() if not agent.leaving]

    @property
    def starting(self) -> int:
        """Agents that were asked for and are not there yet."""
        return len(self._starting)

    @property
    def leaving(self) -> int:
        """Agents that take no more work."""
        return len(self._ready) - len(self.staying)

    @property
    def owed(self) -> int:
        """What those that are still there have cost, in ms of agents."""
        return sum([self.now - agent.asked_at for agent in [*self._ready.values(), *self._starting]])

    def scale(self, agents: int) -> None:
        """Ask for that many agents: those that leave are asked to stay first, those that start are let go first."""
        change = agents - len(self.staying) - self.starting
        for agent in [each for each in self._ready.values() if each.leaving][: max(0, change)]:
            agent.leaving = False
            change -= 1
        for _ in range(change):
            self._starting.append(Agent(self._asked, self.now))
            self._asked += 1
        while change < 0 and self._starting:
            self._pay(self._starting.pop())
            change += 1
        for agent in sorted(self.staying, key=lambda each: (each.busy, -each.number))[: max(0, -change)]:
            agent.leaving = True
        self._let_go()
        self._assign()

    def arrive(self, task: Task) -> None:
        """Take a task that arrives now."""
        self.waiting.append(task)
        self._assign()

    def advance(self, until: int) -> None:
        """Play what happens until then."""
        while (when := self._next()) is not None and when <= until:
            self.now = when
            while self._starting and self._starting[0].asked_at + self.startup <= when:
                agent = self._starting.popleft()
                self._ready[agent.number] = agent
            while self._ends and self._ends[0][0] <= when:
                _, number, runs = heapq.heappop(self._ends)
                self._ready[number].busy -= 1
                self.ended.append((when, runs))
            self._let_go()
            self._assign()
        self.now = until

    def close(self) -> None:
        """Pay everybody who is still there."""
        for agent in [*self._ready.values(), *self._starting]:
            self._pay(agent)

    def _next(self) -> int | None:
        times = [self._ends[0][0]] if self._ends else []
        times += [self._starting[0].asked_at + self.startup] if self._starting else []
        return min(times, default=None)

    def _assign(self) -> None:
        if not self.waiting:
            return
        free = [each for each in self.staying if each.busy < self.slots]
        free.sort(key=lambda each: (each.busy, -each.number))
        while self.waiting and free:
            agent, task = free[-1], self.waiting.popleft()
            agent.busy += 1
            heapq.heappush(self._ends, (self.now + task.runs, agent.number, task.runs))
            self.waits.append((task.arrives, self.now - task.arrives))
            if agent.busy == self.slots:
                free.pop()

    def _let_go(self) -> None:
        for agent in [each for each in self._ready.values() if each.leaving and not each.busy]:
            self._pay(self._ready.pop(agent.number))

    def _pay(self, agent: Agent) -> None:
        self.agent_ms += self.now - agent.asked_at

"""Canaries: whom to ask for a sign of life over the Work stream, and when.

Heartbeats prove that a process lives, not that it takes work. A canary is a system task, so it goes the way of tasks.
Only one that an agent was given and did not answer speaks against it. An agent without a Work stream is given none: it
gets no work either, and one that only registers is no worker. A scheduler that is away says nothing about anybody; nor
do canaries that most agents leave unanswered, because then the way to the agents is at fault.

Session state: a new leader begins anew, with the first canary of each agent within an interval.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Set
from typing import Final, NamedTuple

from tercio_common.machine.system_tasks import GRACE_MS, Result, SystemTaskOutcome, SystemTaskWanted
from tercio_common.machine.table import Table
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.rules import Rules

KIND: Final = "tercio.canary"
_ANSWERS: Final = {Result.SUCCEEDED: True, Result.FAILED: True, Result.EXPIRED: False}
"""What the others say of an agent: nothing. That it could not is an answer, too."""
_LEAST_AGENTS: Final = 8
"""So many agents tell whether the way to them is at fault; a smaller fleet is never excused."""


class Answer(NamedTuple):
    """Whether that incarnation of an agent has answered; None when nobody knows."""

    agent_id: str
    incarnation: int
    answered: bool | None


class _Open(NamedTuple):
    agent_id: str
    incarnation: int
    give_up: int


class Canaries:
    """When each agent that was heard is asked next; at most one canary of an agent is open."""

    def __init__(self, rules: Rules) -> None:
        """Watch nobody yet."""
        self._rules = rules
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._open: dict[str, _Open] = {}
        self._last: dict[str, bool] = {}  # whether the last canary was answered, where that is known
        self._unanswered = 0  # how many of these were not

    def watch(self, agent_id: str, now: int) -> None:
        """Ask an agent from now on: for the first time at a moment of its own within one interval."""
        if self._rules.canary_interval:
            self._set(agent_id, now + zlib.crc32(agent_id.encode()) % self._rules.canary_interval)

    def take_due(self, agents: Table[AgentRow], now: int, *, limit: int) -> tuple[SystemTaskWanted, ...]:
        """Remove and return what to ask now. Agents that are not active any more are not asked again."""
        self._give_up(now)
        wanted: list[SystemTaskWanted] = []
        while self._heap and self._heap[0][0] <= now and len(wanted) < limit:
            due, agent_id = heapq.heappop(self._heap)
            if self._due.get(agent_id) != due:
                continue
            del self._due[agent_id]
            row = agents.get(agent_id)
            if row is not None and row.active:
                timeout = self._rules.canary_timeout
                wanted.append(SystemTaskWanted(KIND, agent_id, timeout=timeout, incarnation=row.incarnation))
            else:
                self._remember(agent_id, None)
        return tuple(wanted)

    def asked(self, wanted: SystemTaskWanted, system_task_id: str, now: int) -> None:
        """Note under which id an agent was asked."""
        give_up = now + wanted.timeout + 2 * GRACE_MS
        self._open[system_task_id] = _Open(wanted.agent_id, wanted.incarnation, give_up)

    def put_off(self, wanted: SystemTaskWanted, now: int) -> None:
        """Ask an agent later, because it could not be asked now."""
        self._set(wanted.agent_id, now + self._rules.canary_interval_of(wanted.agent_id))

    def take_answer(self, outcome: SystemTaskOutcome) -> Answer | None:
        """Return whose canary ended, the first time that it is told; None for other system tasks."""
        found = self._open.pop(outcome.system_task_id, None)
        if found is None:
            return None
        return Answer(found.agent_id, found.incarnation, _ANSWERS.get(outcome.result))

    def note(self, agent_id: str, *, answered: bool | None, suspect: bool, now: int) -> bool:
        """Set when to ask next, a suspect sooner; return whether the answer may be held against the agent."""
        pause = self._rules.canary_interval_of(agent_id)
        if answered is False:
            pause = 0  # its timeout was pause enough
        elif suspect:
            pause = min(pause, self._rules.canary_timeout)
        self._set(agent_id, now + pause)
        self._remember(agent_id, answered)
        if answered is None:
            return False
        return answered or not self._is_way_at_fault()

    def keep(self, agent_ids: Set[str]) -> None:
        """Forget all but these agents."""
        self._due = {each: due for each, due in self._due.items() if each in agent_ids}
        for agent_id in self._last.keys() - agent_ids:
            self._remember(agent_id, None)

    def _remember(self, agent_id: str, answered: bool | None) -> None:
        self._unanswered -= self._last.pop(agent_id, None) is False
        if answered is not None:
            self._last[agent_id] = answered
            self._unanswered += not answered

    def _is_way_at_fault(self) -> bool:
        return len(self._last) >= _LEAST_AGENTS and 2 * self._unanswered > len(self._last)

    def _give_up(self, now: int) -> None:
        """Ask those again of whose canaries nobody told the end."""
        while self._open:
            system_task_id, found = next(iter(self._open.items()))
            if found.give_up > now:
                return
            del self._open[system_task_id]
            self._set(found.agent_id, now + self._rules.canary_interval_of(found.agent_id))

    def _set(self, agent_id: str, due: int) -> None:
        self._due[agent_id] = due
        heapq.heappush(self._heap, (due, agent_id))

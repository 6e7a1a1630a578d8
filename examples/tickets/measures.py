"""What the run was like, computed from the scheduler's task records and from what the agents wrote down.

The scheduler's records say when a ticket became ready, when it was offered to an agent, and when its end was recorded;
each agent's log says when the command started and exited. All are wall-clock milliseconds of one machine.

Definitions, the harsher one wherever there is a choice:

- An agent is *free* for a ticket at a moment when it is connected, has the capabilities, and holds fewer other tickets
  than it has slots; it holds a ticket from the offer until the end is recorded.
- *Coordination* is, over all tickets, the time in which the ticket was ready and some agent was free for it but it had
  not started, plus the time from the command's exit to the recorded end. If one agent is free for five tickets that
  wait, all five count. Starting the command's process is in it as well.
- *Overhead* is coordination ÷ run time of the attempts that succeeded; what a killed agent did does not count as run.
- *Utilisation* is busy ÷ connected slot time, over the moments in which any ticket waited, also one that the slot's
  agent cannot run; *matched* utilisation is over those in which one waited that it can.

What they do not say: run time is wall-clock time, and more slots than cores stretch it. With 13 slots on 2 cores a
command takes several times as long as alone, which makes the overhead a smaller share than on an idle machine; so the
coordination itself is given in seconds, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt of a ticket, in milliseconds of the wall clock.

    Attributes:
        ticket: its id.
        agent: who was given it.
        required: capabilities and levels.
        ready: when the ticket became ready for this attempt.
        offered: when it was offered to the agent.
        started: when the command started.
        exited: when the command exited, or the agent was killed.
        recorded: when the end was recorded; for an attempt that was lost, the same as `exited`.
        succeeded: it is the attempt that counts.
    """

    ticket: str
    agent: str
    required: Mapping[str, int]
    ready: int
    offered: int
    started: int
    exited: int
    recorded: int
    succeeded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """One agent's time in the fleet, in milliseconds of the wall clock."""

    agent: str
    capabilities: Mapping[str, int]
    slots: int
    connected: int
    left: int

    def can_run(self, required: Mapping[str, int]) -> bool:
        """Tell whether the agent has at least these levels."""
        return all(self.capabilities.get(name, 0) >= level for name, level in required.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The measures; durations in milliseconds, shares from 0 to 1."""

    span_ms: int
    run_ms: int
    throughput_per_minute: float
    assigned_mean_ms: float
    assigned_p99_ms: float
    prompt_mean_ms: float
    prompt_p99_ms: float
    recorded_mean_ms: float
    utilisation: float
    matched_utilisation: float
    coordination_ms: int
    overhead: float


def summarise(runs: Sequence[Run], crew: Sequence[Presence], *, submitted: int) -> Summary:
    """Return the measures of a run whose tickets were submitted at that moment.

    Args:
        runs: every attempt.
        crew: every agent.
        submitted: wall clock in milliseconds.
    """
    counted = [run for run in runs if run.succeeded]
    assigned = [run.offered - run.ready for run in counted]
    prompt = [_free_and_waiting(run, runs, crew, until=run.offered) for run in counted]
    started = sum(_free_and_waiting(run, runs, crew, until=run.started) for run in counted)
    recorded = [max(run.recorded - run.exited, 0) for run in counted]
    run_ms = sum(run.exited - run.started for run in counted)
    span_ms = max((run.recorded for run in counted), default=submitted) - submitted
    return Summary(
        span_ms=span_ms,
        run_ms=run_ms,
        throughput_per_minute=_share(len(counted) * 60_000, span_ms),
        assigned_mean_ms=_mean(assigned),
        assigned_p99_ms=_percentile(assigned, 99),
        prompt_mean_ms=_mean(prompt),
        prompt_p99_ms=_percentile(prompt, 99),
        recorded_mean_ms=_mean(recorded),
        utilisation=_utilisation(runs, crew, matched=False),
        matched_utilisation=_utilisation(runs, crew, matched=True),
        coordination_ms=started + sum(recorded),
        overhead=_share(started + sum(recorded), run_ms),
    )


def _free_and_waiting(run: Run, runs: Iterable[Run], crew: Sequence[Presence], *, until: int) -> int:
    """Return for how long the ticket was ready and some agent was free for it, before `until`."""
    others = [one for one in runs if one is not run and one.offered < until and one.recorded > run.ready]
    able = [one for one in crew if one.can_run(run.required)]
    total = 0
    for start, end in _slices(run.ready, until, others, able):
        if any(_free(one, others, start, end) for one in able):
            total += end - start
    return total


def _free(agent: Presence, others: Sequence[Run], start: int, end: int) -> bool:
    if not (agent.connected <= start and end <= agent.left):
        return False
    held = sum(1 for run in others if run.agent == agent.agent and run.offered <= start and end <= run.recorded)
    return held < agent.slots


def _utilisation(runs: Sequence[Run], crew: Sequence[Presence], *, matched: bool) -> float:
    """Return busy ÷ connected slot time while a ticket waits; `matched`: one that the agent can run."""
    busy = connected = 0
    for agent in crew:
        waiting = [run for run in runs if run.offered > run.ready and (not matched or agent.can_run(run.required))]
        own = [run for run in runs if run.agent == agent.agent]
        for start, end in _slices(agent.connected, agent.left, [*waiting, *own], []):
            if any(run.ready <= start and end <= run.offered for run in waiting):
                at_work = sum(1 for run in own if run.started <= start and end <= run.exited)
                busy += (end - start) * min(at_work, agent.slots)
                connected += (end - start) * agent.slots
    return _share(busy, connected)


def _slices(start: int, end: int, runs: Iterable[Run], crew: Iterable[Presence]) -> Iterable[tuple[int, int]]:
    """Cut a span wherever anything changes, so that nothing changes within a slice."""
    cuts = {start, end}
    for run in runs:
        cuts |= {run.ready, run.offered, run.started, run.exited, run.recorded}
    for agent in crew:
        cuts |= {agent.connected, agent.left}
    inside = sorted(cut for cut in cuts if start <= cut <= end)
    return itertools.pairwise(inside)


def _mean(values: Sequence[int]) -> float:
    return _share(sum(values), len(values))


def _percentile(values: Sequence[int], percent: int) -> float:
    """Return the nearest-rank percentile: of 42 values the 99th is the largest."""
    ordered = sorted(values)
    return float(ordered[math.ceil(len(ordered) * percent / 100) - 1]) if ordered else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0

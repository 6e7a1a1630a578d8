"""Why a task stands where it stands, which agents could run it, and what would change that."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_scheduler.state.interventions import POSTPONED
from tercio_scheduler.state.participants import asked_for
from tercio_scheduler.state.rows import TERMINAL, State, TaskRow
from tercio_scheduler.state.session import AgentLink, SchedulerSession
from tercio_scheduler.state.shortages import Blocker, Gap, Shortage
from tercio_scheduler.state.tables import SchedulerTables
from tercio_scheduler.state.tasks import known_task

MOST_CANDIDATES: Final = 100


class Candidate(NamedTuple):
    """One agent's fitness for the task.

    Attributes:
        agent_id: the agent.
        eligible: it could be given the task now.
        obstacles: NO_FREE_SLOT, CORDONED, DRAINING, UNHEALTHY, DEAF, NOT_THE_TARGET, UNSUPPORTED_TASK_TYPE or
            MISSING_CAPABILITY.
        missing: required level of each capability that it lacks.
    """

    agent_id: str
    eligible: bool
    obstacles: tuple[str, ...]
    missing: dict[str, int]


class Explanation(NamedTuple):
    """What `ExplainTask` answers.

    Attributes:
        row: the task.
        summary: one sentence.
        remedies: what would change it, a sentence each.
        candidates: connected agents, eligible ones first, then those with the fewest obstacles; at most 100.
        waiting_for: parents that have not succeeded yet.
        tasks_ahead: ready tasks that come before it.
        missing: capabilities, with the levels required, that no connected agent has.
        gaps: resources that were missing when they were last refused.
        blockers: claims that were in the way when its own were last refused.
    """

    row: TaskRow
    summary: str
    remedies: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    waiting_for: tuple[str, ...]
    tasks_ahead: int
    missing: dict[str, int]
    gaps: tuple[Gap, ...] = ()
    blockers: tuple[Blocker, ...] = ()


def explain(tables: SchedulerTables, session: SchedulerSession, task_id: str, at: Moment) -> Explanation:
    """Explain one task; raises Refusal TASK_NOT_FOUND."""
    row = known_task(tables, task_id)
    links = list(session.connected())
    candidates = sorted((_candidate(tables, link, row) for link in links), key=_fitness)
    ahead = tables.index.ready.ahead_of(row, at.now) if row.state is State.READY else 0
    missing = _missing_everywhere(row, links)
    shortage = session.shortages.of(row.spec.template.needs) if row.state is State.ADMITTING else None
    return Explanation(
        row=row,
        summary=_why_admitting(row, shortage, away=session.away)
        if row.state is State.ADMITTING
        else _summary(row, candidates, ahead=ahead, missing=missing, at=at),
        remedies=tuple(_remedies(row, candidates, missing=missing, shortage=shortage)),
        candidates=tuple(candidates[:MOST_CANDIDATES]),
        waiting_for=row.waiting_for if row.state is State.BLOCKED else (),
        tasks_ahead=ahead,
        missing=missing,
        gaps=shortage.gaps if shortage is not None else (),
        blockers=shortage.blockers if shortage is not None else (),
    )


def _candidate(tables: SchedulerTables, link: AgentLink, row: TaskRow) -> Candidate:
    requirement, standing = row.spec.template.requirement, link.standing
    missing = link.missing(requirement)
    held = len(tables.index.by_agent.get(link.agent_id, ()))
    target = requirement.target_agent_id
    checks = {
        "NOT_THE_TARGET": bool(target) and target != link.agent_id,
        "UNSUPPORTED_TASK_TYPE": bool(link.task_types) and requirement.task_type not in link.task_types,
        "MISSING_CAPABILITY": bool(missing),
        "CORDONED": standing.cordoned,
        "DRAINING": link.draining or standing.draining,
        "UNHEALTHY": standing.unhealthy or standing.gone,
        "DEAF": standing.deaf,
        "NO_FREE_SLOT": held >= link.credit,
    }
    obstacles = tuple([name for name, stands in checks.items() if stands])
    return Candidate(link.agent_id, not obstacles, obstacles, missing)


def _fitness(candidate: Candidate) -> tuple[int, int, str]:
    return len(candidate.obstacles), len(candidate.missing), candidate.agent_id


def _missing_everywhere(row: TaskRow, links: list[AgentLink]) -> dict[str, int]:
    return {
        name: level
        for name, level in row.spec.template.required_capabilities
        if not any(link.capabilities.get(name, 0) >= level for link in links)
    }


def _summary(row: TaskRow, candidates: list[Candidate], *, ahead: int, missing: dict[str, int], at: Moment) -> str:
    agent_id = row.offer.agent_id if row.offer is not None else ""
    if row.state is State.READY:
        return _why_ready(candidates, ahead=ahead, missing=missing)
    because = f": {row.why.message}" if row.why.message else ""
    if row.why.reason == POSTPONED:
        return f"It {row.why.message}."
    return {
        State.BLOCKED: f"It waits for {row.waiting.bit_count()} tasks that have not succeeded yet.",
        State.BACKOFF: f"It failed {row.past.failures} times and is tried again in {max(0, row.due - at.now)} ms.",
        State.OFFERED: f"Attempt {row.number} was offered to agent {agent_id}, which has not started it.",
        State.RUNNING: f"Attempt {row.number} runs on agent {agent_id}.",
        State.CANCELLING: f"Agent {agent_id} was asked to stop attempt {row.number}{because}.",
        State.SUCCEEDED: f"It succeeded on agent {agent_id} with attempt {row.number}.",
        State.FAILED: f"It failed{because}.",
        State.CANCELLED: f"It was cancelled{because}.",
        State.DEAD_LETTER: f"It failed {row.past.failures} times, the last time with {row.why.reason}{because}.",
    }[row.state]


def _why_admitting(row: TaskRow, shortage: Shortage | None, *, away: Container[str]) -> str:
    silent = [name for name in asked_for(row.spec.template.needs) if name in away]
    if silent:
        return f"It waits for the {silent[0]} service, which does not answer."
    if shortage is None:
        return "What it needs is about to be asked for, once an agent able to run it has room."
    if shortage.blockers:
        named = [f"{blocker.owner} holds {blocker.claim.name}" for blocker in shortage.blockers]
        return f"It waits for claims: {'; '.join(named)}."
    if shortage.is_of_cost:
        spent = [
            f"the {gap.bound} has cost {gap.required} of {gap.most} millionths of the currency" for gap in shortage.gaps
        ]
        return f"It waits until a cost limit is raised: {'; '.join(spent) or shortage.reason}."
    gaps = [
        f"{gap.required} of {gap.dimension}, {gap.available} free"
        + (f" and never more than {gap.most}" if gap.required > gap.most else "")
        for gap in shortage.gaps
    ]
    return f"It waits for {shortage.participant}: {shortage.reason}{': ' if gaps else ''}{'; '.join(gaps)}."


def _why_ready(candidates: list[Candidate], *, ahead: int, missing: dict[str, int]) -> str:
    if not candidates:
        return "It is ready, but no agent is connected."
    if any(candidate.eligible for candidate in candidates):
        return f"It is ready and about to be offered; {ahead} tasks come before it."
    if missing:
        names = ", ".join(f"{name} {level}" for name, level in missing.items())
        return f"It is ready, but no connected agent has {names}."
    if candidates[0].obstacles == ("NO_FREE_SLOT",):
        return f"It is ready, but every agent able to run it is busy; {ahead} tasks come before it."
    return f"It is ready, but no agent may be given it: {candidates[0].agent_id} is {candidates[0].obstacles[0]}."


def _remedies(
    row: TaskRow, candidates: list[Candidate], *, missing: dict[str, int], shortage: Shortage | None
) -> list[str]:
    if row.state is State.BLOCKED:
        return ["Let the tasks that it waits for succeed, or cancel it and submit it without them."]
    if row.state is State.ADMITTING and shortage is not None and shortage.is_of_cost:
        return ["Raise the cost limit with `tercio costs limit`, or submit it for another tenant."]
    if row.state is State.ADMITTING:
        return ["Wait until others give back what it needs, enlarge the pools, or submit it with less."]
    if row.state in TERMINAL:
        return [] if row.state is State.SUCCEEDED else ["Remove the cause and retry the task."]
    if row.state is not State.READY or any(candidate.eligible for candidate in candidates):
        return []
    template, remedies = row.spec.template, []
    if missing:
        names = ", ".join(f"{name} {level}" for name, level in missing.items())
        remedies.append(f"Connect an agent with {names}.")
    if template.target_agent_id and template.target_agent_id not in {candidate.agent_id for candidate in candidates}:
        remedies.append(f"Connect agent {template.target_agent_id}, the only one that may run it.")
    obstacles = {name for candidate in candidates if not candidate.missing for name in candidate.obstacles}
    if "NO_FREE_SLOT" in obstacles:
        remedies.append("Add agents, or raise the task's priority by submitting it anew.")
    if obstacles & {"CORDONED", "DRAINING"}:
        remedies.append("Uncordon an agent that could run it.")
    if "UNSUPPORTED_TASK_TYPE" in obstacles:
        remedies.append(f"Give an agent a handler for {template.task_type}.")
    return remedies or ["Connect an agent that can run it."]

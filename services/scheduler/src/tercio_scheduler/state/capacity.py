"""Whether the fleet has an agent for a task, and the scheduler room for it."""

from __future__ import annotations

from typing import Final

from tercio_common.errors import Refusal
from tercio_scheduler.state.columns import SubmitColumns
from tercio_scheduler.state.rows import Requirement
from tercio_scheduler.state.session import AgentLink, SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

_TASK_BYTES: Final = 256
_RETRY_AFTER_MS: Final = 1_000


def judge(tables: SchedulerTables, columns: SubmitColumns, *, known: set[int], refused: dict[int, Refusal]) -> None:
    """Refuse every new task of the frame when together they do not fit."""
    if tables.index.live_bytes + _size(columns) <= tables.limits.live_bytes:
        return
    refusal = Refusal(
        "QUEUE_FULL",
        f"tasks hold {tables.index.live_bytes} of {tables.limits.live_bytes} bytes; "
        "submit again when some have ended, or pass references instead of payloads",
        retry_after_ms=_RETRY_AFTER_MS,
    )
    for index in range(len(columns.task_ids)):
        if index not in known:
            refused.setdefault(index, refusal)


def _size(columns: SubmitColumns) -> int:
    count = len(columns.task_ids)
    sizes = [template.size for template in columns.templates]
    templates = sum([sizes[which] for which in columns.template_indexes]) or sizes[0] * count
    return sum(map(len, columns.payloads)) + templates + _TASK_BYTES * count


def capability_refusal(requirement: Requirement, session: SchedulerSession) -> Refusal | None:
    """Return the refusal of tasks that no connected agent could run; None when one could."""
    agents = [link for link in session.connected() if not link.standing.gone]
    if any(link.fits(requirement) for link in agents):
        return None
    missing = least_missing(requirement, agents)
    wanted = ", ".join(f"{name} {level}" for name, level in missing.items()) or _wanted(requirement)
    return Refusal(
        "INSUFFICIENT_AGENT_CAPABILITY",
        f"none of {len(agents)} connected agents could run this: {wanted} is missing; "
        "start such an agent, or let the task wait for one",
        metadata={"missing": ",".join(f"{name}:{level}" for name, level in missing.items())},
    )


def least_missing(requirement: Requirement, agents: list[AgentLink]) -> dict[str, int]:
    """Return what the agent that comes nearest lacks, with the levels required."""
    candidates = [link.missing(requirement) for link in agents if _could_be_asked(link, requirement)]
    return min(candidates, key=len, default=dict(requirement.capabilities))


def _could_be_asked(link: AgentLink, requirement: Requirement) -> bool:
    return not requirement.target_agent_id or requirement.target_agent_id == link.agent_id


def _wanted(requirement: Requirement) -> str:
    if requirement.target_agent_id:
        return f"agent {requirement.target_agent_id}"
    return f"a handler for {requirement.task_type}"

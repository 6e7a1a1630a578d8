"""System tasks of other services, carried to their agents as tasks of their own.

Each is a task with a type `tercio.…`, pinned to its agent, of the highest priority and tried once. It is offered ahead
of everything else and whatever credit its agent has left, because an agent must be able to answer while all its slots
are busy, and also while it takes no other work. When the task ends, or its deadline passes, it is settled: one event
turns it into an entry of the outbox and forgets it. Until then it is in the tables, so no leader loses an outcome.
"""

from __future__ import annotations

import base64
import json
from itertools import islice
from typing import Final, NamedTuple

from tercio_common.machine.protocol import NOTHING, Decision, Moment
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome
from tercio_scheduler.state import events, submission
from tercio_scheduler.state.commands import AgentOffers, CarryOut, Submit
from tercio_scheduler.state.due import AT_ONCE
from tercio_scheduler.state.rows import State, TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

_MOST_AT_ONCE: Final = 4
"""System tasks that one agent holds: enough for each kind, few enough to leave it time for its work."""
_LOST: Final = "AGENT_LOST"
_TIMED_OUT: Final = "ATTEMPT_TIMEOUT"


def delivery_of(owner: str) -> str:
    """Return the kind of the outbox entries that tell `owner` how its system tasks ended."""
    return f"system_tasks.{owner}"


def decide(tables: SchedulerTables, command: CarryOut, at: Moment, session: SchedulerSession) -> Decision:
    """Accept a system task, once; one that has ended and is not reported yet is known as well."""
    carried = command.carried
    if carried.task_id in tables.tasks or carried.system_task_id in tables.outbox.table:
        return NOTHING
    submitted = submission.decide(tables, Submit(columns=command.columns, frame=command.frame), at, session)
    return Decision((*submitted.events, events.SystemTaskCarried(carried)))


def apply_carried(tables: SchedulerTables, event: events.SystemTaskCarried, _at: Moment) -> None:
    """Note whose it is."""
    tables.carried.put(event.carried)


def apply_settled(tables: SchedulerTables, event: events.SystemTasksSettled, at: Moment) -> None:
    """Owe their outcomes, and forget them."""
    for task_id in event.task_ids:
        carried = tables.carried[task_id]
        outcome = _outcome(carried.system_task_id, tables.tasks[task_id])
        tables.outbox.add(delivery_of(carried.owner), carried.system_task_id, payload_of(outcome), at)
        tables.carried.delete(task_id)
        tables.tasks.delete(task_id)


class Settling:
    """The source that settles system tasks; see `due.Source`."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._aside: set[str] = set()
        self._settled: tuple[str, ...] = ()

    def next_due(self) -> int | None:
        return AT_ONCE if self._tables.index.system_ended.keys() - self._aside else None

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        ended = (task_id for task_id in self._tables.index.system_ended if task_id not in self._aside)
        self._settled = tuple(islice(ended, limit))
        return [events.SystemTasksSettled(self._settled)]

    def set_aside(self) -> str:
        self._aside.update(self._settled)
        return f"settling of {', '.join(self._settled)}"

    def take_back(self) -> None:
        self._aside.clear()


class Offers(NamedTuple):
    """What to offer now."""

    by_agent: dict[str, list[TaskRow]]

    def of(self, session: SchedulerSession, *, spent: int) -> tuple[AgentOffers, ...]:
        """Return the offers with the numbers of their attempts."""
        return tuple(
            AgentOffers(
                agent_id, session.agents[agent_id].instance_id, rows, [(row.number or spent) + 1 for row in rows]
            )
            for agent_id, rows in self.by_agent.items()
        )


def offers(tables: SchedulerTables, session: SchedulerSession, at: Moment, *, limit: int) -> Offers:
    """Choose the system tasks whose agents are connected, the oldest first."""
    index, found = tables.index, dict[str, list[TaskRow]]()
    for task_id in index.system_ready:
        row = tables.tasks[task_id]
        agent_id = row.spec.template.target_agent_id
        link = session.agents.get(agent_id)
        if link is None or not link.connected or row.ready.seq > at.committed:
            continue
        if tables.carried[task_id].instance_id not in (b"", link.instance_id):
            continue  # it was meant for another process of the agent
        held = sum(each in index.system for each in index.by_agent.get(agent_id, ()))
        if held + len(found.get(agent_id, ())) < _MOST_AT_ONCE:
            found.setdefault(agent_id, []).append(row)
            limit -= 1
        if not limit:
            break
    return Offers(found)


def payload_of(outcome: SystemTaskOutcome) -> bytes:
    """Return the outcome as the outbox keeps it."""
    output = base64.b64encode(outcome.output).decode()
    return json.dumps(outcome._replace(output=b"")._asdict() | {"output": output}).encode()


def outcome_of(payload: bytes) -> SystemTaskOutcome:
    """Return the outcome that the outbox keeps."""
    fields = json.loads(payload)
    fields["output"] = base64.b64decode(fields["output"])
    return SystemTaskOutcome(**fields | {"result": Result(fields["result"])})


def _outcome(system_task_id: str, row: TaskRow) -> SystemTaskOutcome:
    offer = row.offer
    if offer is None:
        return SystemTaskOutcome(
            system_task_id, Result.AGENT_GONE, b"", _LOST, "the agent, or the process that was meant, was not connected"
        )
    result = _result(row)
    return SystemTaskOutcome(
        system_task_id,
        result,
        row.result,
        row.why.reason,
        row.why.message,
        wait=max(0, offer.wall - row.spec.accepted.wall),
        run=max(0, row.entered.wall - offer.wall),
    )


def _result(row: TaskRow) -> Result:
    if row.state is State.SUCCEEDED:
        return Result.SUCCEEDED
    if row.why.reason == _LOST or (row.state is State.FAILED and row.why.reason == "DEADLINE_PASSED"):
        return Result.AGENT_GONE  # its attempt was taken from it, and it did not come back in time
    if row.why.reason in {_TIMED_OUT, "DEADLINE_PASSED"}:
        return Result.EXPIRED
    return Result.FAILED

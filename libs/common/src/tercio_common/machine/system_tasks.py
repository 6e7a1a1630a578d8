"""System tasks: what a service wants agents to do, from its asking until the outcome is known.

Only the Work stream reaches an agent, and calls go one way: the owner of a system task never calls the scheduler. It
opens the task here, the scheduler watches, carries the task out and reports. An owner therefore never waits for a
scheduler that is away: what nobody reports ends by itself, a grace after its timeout, as `UNREPORTED`, which says
nothing about the agent.

Any machine takes part: it makes one `SystemTasks` over its tables, decides with it, and applies its two events.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table, TableStore

SYSTEM_TASKS = "system_tasks"
GRACE_MS = 10_000
"""Over the timeout: the scheduler may change its leader, and its report still be the word that counts."""
MOST_OPEN = 20_000
"""Two for each agent of a large fleet; more means that nobody carries them out."""


class Result(IntEnum):
    """How a system task ended; all but the last as in the contract. Values are persisted."""

    SUCCEEDED = 1
    FAILED = 2
    EXPIRED = 3
    AGENT_GONE = 4
    UNREPORTED = 5


class SystemTaskWanted(NamedTuple):
    """What is asked of one agent.

    Attributes:
        kind: `tercio.` and a name.
        agent_id: who is to do it.
        timeout: ms from now to the agent's answer.
        input: for the kind's handler.
        incarnation: only this one of the agent; 0 means whichever is present.
        instance_id: the process of that incarnation, by which the scheduler knows it.
    """

    kind: str
    agent_id: str
    timeout: int
    input: bytes = b""
    incarnation: int = 0
    instance_id: bytes = b""


class SystemTaskRow(NamedTuple):
    """An open system task.

    Attributes:
        created_wall: wall time in ms.
        due: fleet time in ms at which its owner stops waiting.
        Others as in `SystemTaskWanted`.
    """

    system_task_id: str
    kind: str
    agent_id: str
    incarnation: int
    input: bytes
    timeout: int
    created_wall: int
    due: int
    instance_id: bytes = b""


class SystemTaskOutcome(NamedTuple):
    """How one ended; the times are ms before and after the offer to the agent, -1 when there was none."""

    system_task_id: str
    result: Result
    output: bytes = b""
    error_reason: str = ""
    error_message: str = ""
    wait: int = -1
    run: int = -1


class SystemTasksOpened(NamedTuple):
    """Event: agents are to do these."""

    tasks: tuple[SystemTaskRow, ...]


class SystemTasksClosed(NamedTuple):
    """Event: these ended."""

    outcomes: tuple[SystemTaskOutcome, ...]


class SystemTasks:
    """The open system tasks of one owner, and when it stops waiting for each."""

    def __init__(self, store: TableStore, *, owner: str) -> None:
        """Add the table to `store`; `owner` is the service's name, with which ids begin."""
        self.table: Table[SystemTaskRow] = Table(SYSTEM_TASKS, lambda row: row.system_task_id, store=store)
        self._owner = owner
        self._timers: list[tuple[int, str]] = []
        self.table.add_index(self)

    def changed(self, key: str, old: SystemTaskRow | None, new: SystemTaskRow | None) -> None:
        """See `Index`."""
        if new is not None:
            heappush(self._timers, (new.due, key))

    def open(self, wanted: Iterable[SystemTaskWanted], at: Moment) -> SystemTasksOpened:
        """Decide to ask for these. Ids name the record, so that a later leader or generation never repeats one.

        Raises:
            Refusal: QUEUE_FULL.
        """
        generation, revision = at.epoch
        stem = f"{self._owner}-{generation}-{revision}-{at.seq}"
        rows = [
            SystemTaskRow(
                system_task_id=f"{stem}-{number}",
                kind=one.kind,
                agent_id=one.agent_id,
                incarnation=one.incarnation,
                input=one.input,
                timeout=one.timeout,
                created_wall=at.wall,
                due=at.now + one.timeout + GRACE_MS,
                instance_id=one.instance_id,
            )
            for number, one in enumerate(wanted)
        ]
        if len(self.table) + len(rows) > MOST_OPEN:
            message = f"{len(self.table)} system tasks are open, at most {MOST_OPEN} may be; is the scheduler away?"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=GRACE_MS)
        return SystemTasksOpened(tuple(rows))

    def close(self, outcomes: Iterable[SystemTaskOutcome]) -> tuple[SystemTasksClosed, tuple[str, ...]]:
        """Decide on a report: what it closes, and the ids of which nothing is open any more.

        What is told of one twice closes it once, by what was told first.
        """
        first: dict[str, SystemTaskOutcome] = {}
        for each in outcomes:
            first.setdefault(each.system_task_id, each)
        known = tuple(each for each in first.values() if each.system_task_id in self.table)
        unknown = tuple(each for each in first if each not in self.table)
        return SystemTasksClosed(known), unknown

    def expire(self, at: Moment, *, limit: int) -> SystemTasksClosed:
        """Decide which are not waited for any longer, at most `limit`."""
        found: dict[str, int] = {}  # what was undone has several entries
        while len(found) < limit and (due := self.next_due()) is not None and due <= at.now:
            _, system_task_id = heappop(self._timers)
            found[system_task_id] = due
        for system_task_id, due in found.items():
            # Should this be undone, it is looked at again; once it is applied, the entry is one that is skipped.
            heappush(self._timers, (due, system_task_id))
        return SystemTasksClosed(tuple(SystemTaskOutcome(each, Result.UNREPORTED) for each in found))

    def apply(self, event: SystemTasksOpened | SystemTasksClosed) -> None:
        """Change the table."""
        if isinstance(event, SystemTasksOpened):
            for row in event.tasks:
                self.table.put(row)
        else:
            for outcome in event.outcomes:
                self.table.delete(outcome.system_task_id)

    def next_due(self) -> int | None:
        """Return when the first one is not waited for any longer."""
        while self._timers and self._timers[0][1] not in self.table:
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def set_aside_due(self) -> str:
        """Stop looking at the one that is due first; return its name."""
        self.next_due()
        return f"the end of system task {heappop(self._timers)[1]}"

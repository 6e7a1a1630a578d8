"""Keeps what the scheduler reported of each ticket, and joins it with what the agents wrote down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from examples.tickets.fleet import Fleet, Worker
from examples.tickets.measures import Presence, Run
from tercio.api.scheduler.v1 import task_pb2
from tercio.states import TaskState


@dataclass(slots=True)
class Ledger:
    """Every ticket's last record, and the times of every attempt."""

    records: dict[str, task_pb2.Task] = field(default_factory=dict)
    attempts: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def note(self, task: task_pb2.Task) -> bool:
        """Take note of a record; return whether the ticket has ended with it."""
        before = self.records.get(task.task_id)
        self.records[task.task_id] = task
        if task.HasField("attempt") and task.state in _UNDER_WAY:
            times = (task.ready_time.ToMilliseconds(), task.offer_time.ToMilliseconds())
            self.attempts[task.task_id, task.attempt.number] = times
        return ended(task) and not (before is not None and ended(before))

    @property
    def succeeded(self) -> list[task_pb2.Task]:
        """The tickets that ended well."""
        return [task for task in self.records.values() if task.state == task_pb2.Task.STATE_SUCCEEDED]

    @property
    def retried(self) -> list[task_pb2.Task]:
        """The tickets that took more than one attempt."""
        return [task for task in self.records.values() if self.tries(task) > 1]

    def tries(self, task: task_pb2.Task) -> int:
        """Return how many attempts were offered to agents; numbers are also used up by what is asked for in vain."""
        return max(1, sum(ticket == task.task_id for ticket, _ in self.attempts))

    def runs(self, fleet: Fleet) -> list[Run]:
        """Return every attempt that ran."""
        return [run for worker in fleet.workers for run in self._runs_of(worker)]

    def _runs_of(self, worker: Worker) -> Iterable[Run]:
        for command in worker.commands:
            task = self.records.get(command.ticket)
            if task is None:
                continue  # not one of the plan's
            final = task.attempt.number == command.attempt and task.attempt.agent_id == worker.member.name
            succeeded = final and task.state == task_pb2.Task.STATE_SUCCEEDED
            ready, offered = self.attempts.get((command.ticket, command.attempt), (command.started, command.started))
            exited = command.exited or worker.left_ms or command.started
            yield Run(
                ticket=command.ticket,
                agent=worker.member.name,
                required=dict(task.template.required_capabilities),
                ready=ready,
                offered=offered,
                started=command.started,
                exited=exited,
                recorded=task.end_time.ToMilliseconds() if succeeded else exited,
                succeeded=succeeded,
            )


def presences(fleet: Fleet, *, until: int) -> list[Presence]:
    """Return when each agent was there."""
    return [
        Presence(
            agent=worker.member.name,
            capabilities=worker.member.capabilities,
            slots=worker.member.slots,
            connected=worker.connected_ms,
            left=worker.left_ms or until,
        )
        for worker in fleet.workers
        if worker.connected_ms
    ]


def ended(task: task_pb2.Task) -> bool:
    """Tell whether the ticket has ended, well or not."""
    return TaskState(task.state).is_terminal


_UNDER_WAY = frozenset(
    {
        task_pb2.Task.STATE_OFFERED,
        task_pb2.Task.STATE_RUNNING,
        task_pb2.Task.STATE_CANCELLING,
        task_pb2.Task.STATE_SUCCEEDED,
    }
)
"""States in which the record's times are those of its attempt."""

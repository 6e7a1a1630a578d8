"""Drives the scheduler's machine the way the host does, on time that moves by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tercio.api.scheduler.v1 import task_service_pb2, work_service_pb2
from tercio.api.type.v1 import epoch_pb2
from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_scheduler.codec import SchedulerCodec
from tercio_scheduler.frames import submit_columns, template_message, work_columns
from tercio_scheduler.state import recall
from tercio_scheduler.state.columns import NO_ATTEMPTS, AttemptColumns, Failure
from tercio_scheduler.state.commands import (
    AgentOffers,
    AttachAgent,
    Attached,
    AttemptKey,
    Dispatch,
    Reported,
    ReportWork,
    Submit,
    Submitted,
)
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.rows import Outcome, State, TaskRow, Template
from tercio_scheduler.state.session import AgentLink, SchedulerSession

START_WALL = 1_800_000_000_000
WORK = Template(task_type="work")


class Drive:
    """One scheduler: machine, session, clocks and the journal that it would have written."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Start leading with no tasks."""
        self.limits = limits or Limits()
        self.machine = SchedulerMachine(self.limits)
        self.codec = SchedulerCodec()
        self.journal: list[tuple[Moment, bytes]] = []
        self.seq = 0
        self.committed: int | None = None
        self.now = 1_000
        self.wall = START_WALL
        self.epoch = Epoch(1, 1)
        self.session = SchedulerSession(self.epoch)
        self.propose(ElectionWon())

    def moment(self) -> Moment:
        """Return the moment of the next command. Everything is committed unless `committed` says otherwise."""
        committed = self.seq if self.committed is None else self.committed
        return Moment(self.seq + 1, self.now, self.wall, self.epoch, "tester", committed)

    def propose(self, command: Any) -> Any:
        """Decide and apply one command; return its reply."""
        at = self.moment()
        self.machine.tables.begin()
        decision = self.machine.decide(command, at, self.session)
        for event in decision.events:
            self.journal.append((at._replace(committed=0), self.codec.encode_event(event)))
            self.machine.apply(event, at._replace(committed=0))
        self.seq += bool(decision.events)
        return decision.reply

    def pass_time(self, duration_ms: int) -> None:
        """Let both clocks run, and serve what becomes due on the way."""
        end = self.now + duration_ms
        while (due := self.machine.next_due()) is not None and due <= end:
            self._advance(max(due, self.now))
            self.propose(Tick())
        self._advance(end)

    def settle(self) -> None:
        """Serve what is due now."""
        self.pass_time(0)

    def take_over(self) -> None:
        """Let another leader begin: a new epoch and an empty session."""
        self.epoch = Epoch(1, self.epoch.revision + 1)
        self.session = SchedulerSession(self.epoch)
        self.propose(ElectionWon())

    def submit(
        self,
        *task_ids: str,
        template: Template = WORK,
        after: Mapping[str, Sequence[str]] | None = None,
        payload: bytes = b"",
        plan_id: str = "",
        whole: bool = True,
        validate_only: bool = False,
    ) -> Submitted:
        """Submit tasks that share a template; `after` names parents by task."""
        frame = task_service_pb2.SubmitFrame(
            templates=[template_message(template)],
            task_ids=task_ids,
            payloads=[payload] * len(task_ids) if payload else [],
            dependencies=[
                task_service_pb2.SubmitFrame.Dependencies(index=task_ids.index(task_id), depends_on=parents)
                for task_id, parents in (after or {}).items()
            ],
            plan_id=plan_id,
        )
        command = Submit(
            columns=submit_columns(frame), frame=frame.SerializeToString(), whole=whole, validate_only=validate_only
        )
        reply: Submitted = self.propose(command)
        return reply

    def attach(
        self,
        agent_id: str = "agent",
        *,
        instance: bytes = b"first",
        concurrency: int = 10,
        capabilities: Mapping[str, int] | None = None,
        task_types: Sequence[str] = (),
        offered: Sequence[AttemptKey] = (),
        started: Sequence[AttemptKey] = (),
    ) -> Attached:
        """Let an agent say Hello."""
        self.session.attach(
            agent_id,
            instance_id=instance,
            capabilities=capabilities or {},
            concurrency=concurrency,
            now=self.now,
            task_types=task_types,
        )
        command = AttachAgent(
            agent_id=agent_id, instance_id=instance, offered=columns_of(offered), started=columns_of(started)
        )
        reply: Attached = self.propose(command)
        return reply

    def link(self, agent_id: str = "agent") -> AgentLink:
        """Return what the session knows of an agent."""
        return self.session.agents[agent_id]

    def dispatch(self, limit: int = 1000) -> dict[str, list[str]]:
        """Offer ready tasks; return their ids by agent."""
        offers: tuple[AgentOffers, ...] = self.propose(Dispatch(limit=limit)).offers
        return {offer.agent_id: [row.task_id for row in offer.rows] for offer in offers}

    def recall(self) -> dict[str, list[str]]:
        """Ask agents for what they hold unbegun; return the tasks by agent."""
        tables = self.machine.tables
        found = recall.due(tables, self.session, self.moment())
        for agent_id, _, keys in found:
            held = tables.index.by_agent.get(agent_id, ())
            self.session.note_recalled(agent_id, keys, held=held, now=self.now)
        return {agent_id: [key.task_id for key in keys] for agent_id, _, keys in found}

    def report(
        self,
        *,
        agent_id: str = "agent",
        instance: bytes = b"first",
        started: Sequence[AttemptKey] = (),
        ended: Sequence[AttemptKey] = (),
        outcomes: Sequence[Outcome] = (),
        results: Sequence[bytes] = (),
        failures: Mapping[int, Failure] | None = None,
        checkpoints: Mapping[AttemptKey, bytes] | None = None,
    ) -> Reported:
        """Let an agent report."""
        saved = list((checkpoints or {}).items())
        frame = work_service_pb2.WorkFrame(
            started=attempts_message(started),
            ended=attempts_message(ended),
            outcomes=[work_service_pb2.Outcome.ValueType(outcome) for outcome in outcomes],
            results=results,
            failures=[
                work_service_pb2.WorkFrame.Failure(
                    index=index, reason=failure.reason, message=failure.message, permanent=failure.permanent
                )
                for index, failure in (failures or {}).items()
            ],
            checkpointed=attempts_message([key for key, _ in saved]),
            checkpoints=[
                work_service_pb2.WorkFrame.Checkpoint(index=index, data=data) for index, (_, data) in enumerate(saved)
            ],
        )
        command = ReportWork(
            agent_id=agent_id, instance_id=instance, columns=work_columns(frame), frame=frame.SerializeToString()
        )
        reply: Reported = self.propose(command)
        return reply

    def run(self, task_id: str, *, agent_id: str = "agent", instance: bytes = b"first") -> Reported:
        """Let the agent start the task's attempt."""
        return self.report(agent_id=agent_id, instance=instance, started=[self.attempt(task_id)])

    def end(self, *task_ids: str, outcome: Outcome = Outcome.SUCCEEDED, failure: Failure | None = None) -> Reported:
        """Let the agents that hold these tasks end them."""
        reply = Reported()
        for task_id in task_ids:
            offer = self.row(task_id).offer
            assert offer is not None
            reply = self.report(
                agent_id=offer.agent_id,
                instance=offer.instance_id,
                ended=[self.attempt(task_id)],
                outcomes=[outcome],
                failures={0: failure} if failure else None,
            )
        return reply

    def row(self, task_id: str) -> TaskRow:
        """Return a task."""
        return self.machine.tables.tasks[task_id]

    def state(self, task_id: str) -> State:
        """Return where a task stands."""
        return self.row(task_id).state

    def states(self) -> dict[str, State]:
        """Return where every task stands."""
        return {row.task_id: row.state for row in self.machine.tables.tasks.values()}

    def attempt(self, task_id: str) -> AttemptKey:
        """Return the task's present or last attempt."""
        row = self.row(task_id)
        assert row.offer is not None
        return AttemptKey(task_id, row.offer.epoch, row.number)

    def replayed(self) -> SchedulerMachine:
        """Return a machine that only saw the journal."""
        machine, codec = SchedulerMachine(self.limits), SchedulerCodec()
        for at, data in self.journal:
            machine.apply(codec.decode_event(data), at)
        return machine

    def from_snapshot(self) -> SchedulerMachine:
        """Return a machine that only saw a snapshot of the present rows."""
        machine, codec = SchedulerMachine(self.limits), SchedulerCodec()
        for name, table in self.machine.tables.tables.items():
            # Backwards, because a snapshot promises no order.
            for row in reversed(list(table.values())):
                machine.tables.tables[name].put(codec.decode_row(name, codec.encode_row(name, row)))
        return machine

    def _advance(self, now: int) -> None:
        self.wall += now - self.now
        self.now = now


def contents(machine: SchedulerMachine) -> dict[str, dict[Any, Any]]:
    """Return every row of every table."""
    return {name: {table.key(row): row for row in table.values()} for name, table in machine.tables.tables.items()}


def columns_of(keys: Sequence[AttemptKey]) -> AttemptColumns:
    """Return attempts as columns."""
    if not keys:
        return NO_ATTEMPTS
    epochs = tuple(dict.fromkeys(key.epoch for key in keys))
    return AttemptColumns(
        task_ids=tuple(key.task_id for key in keys),
        numbers=tuple(key.number for key in keys),
        epochs=epochs,
        epoch_indexes=tuple(epochs.index(key.epoch) for key in keys) if len(epochs) > 1 else (),
    )


def attempts_message(keys: Sequence[AttemptKey]) -> work_service_pb2.AttemptColumns:
    """Return attempts as the contract's columns."""
    columns = columns_of(keys)
    return work_service_pb2.AttemptColumns(
        task_ids=columns.task_ids,
        numbers=columns.numbers,
        epoch_indexes=columns.epoch_indexes,
        epochs=[epoch_pb2.Epoch(generation=epoch.generation, revision=epoch.revision) for epoch in columns.epochs],
    )

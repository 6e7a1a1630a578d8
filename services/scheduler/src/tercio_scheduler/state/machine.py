"""The scheduler's state machine: which noun decides a command, and which one applies an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tercio_common.machine.outbox import AcknowledgeOutbox, Outbox, OutboxAcknowledged
from tercio_common.machine.protocol import NOTHING, Decision, ElectionWon, Moment, Tick
from tercio_scheduler.state import (
    admission,
    attempts,
    cancellation,
    commands,
    dependencies,
    dispatch,
    events,
    interventions,
    plans,
    reports,
    retention,
    submission,
    system_tasks,
    tasks,
    transitions,
)
from tercio_scheduler.state.assignment.least_connections import LeastConnections
from tercio_scheduler.state.assignment.protocol import Strategy
from tercio_scheduler.state.due import (
    Deadlines,
    Descendants,
    Leases,
    PlanCancellations,
    Releases,
    Source,
    TaskTimers,
)
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables


class SchedulerMachine:
    """Implements `tercio_common.machine.protocol.StateMachine`."""

    def __init__(self, limits: Limits | None = None, *, strategy: Strategy | None = None) -> None:
        """Start with no tasks.

        Args:
            limits: bounds of the decisions.
            strategy: chooses among the agents able to run a task; the least loaded by default.
        """
        self.tables = SchedulerTables(limits or Limits())
        self._strategy: Strategy = strategy or LeastConnections()
        self._deadlines = Deadlines(self.tables)
        self._sources: tuple[Source, ...] = (
            Leases(self.tables),
            TaskTimers(self.tables),
            self._deadlines,
            Descendants(self.tables),
            Releases(self.tables),
            PlanCancellations(self.tables),
            interventions.Postponements(self.tables),
            admission.Ending(self.tables),
            system_tasks.Settling(self.tables),
            retention.Retention(self.tables),
        )
        # What the last Tick served: that is at fault when it fails.
        self._served: Source = self._sources[0]
        self._decide: dict[type, Callable[[Any, Moment, SchedulerSession], Decision]] = {
            commands.Submit: self._submit,
            commands.Dispatch: self._dispatch,
            commands.CarryOut: self._carry_out,
            commands.StartAdmissions: self._start_admissions,
            commands.SettleAdmissions: self._on_tables(admission.settle),
            commands.RevokeUngranted: self._on_tables(admission.revoke),
            interventions.Intervene: self._on_tables(interventions.decide),
            AcknowledgeOutbox: self._acknowledge,
            commands.CancelTask: self._on_tables(cancellation.decide_cancel),
            commands.RetryTask: self._on_tables(cancellation.decide_retry),
            commands.CancelPlan: self._on_tables(plans.decide_cancel),
            commands.ReportWork: self._on_tables(reports.decide),
            commands.AttachAgent: self._on_tables(attempts.decide_attach),
            Tick: self._tick,
            ElectionWon: self._election_won,
        }
        self._apply: dict[type, Callable[[SchedulerTables, Any, Moment], None]] = {
            events.TasksSubmitted: submission.apply,
            events.AttemptsOffered: dispatch.apply,
            events.WorkFrameApplied: reports.apply,
            events.AttemptsAdopted: attempts.apply_adopted,
            events.AttemptsRevoked: attempts.apply_revoked,
            events.AttemptsTimedOut: attempts.apply_timed_out,
            events.BackoffsEnded: _apply_backoffs_ended,
            events.DeadlinesPassed: _apply_deadlines_passed,
            events.DependenciesFailed: dependencies.apply_failures,
            events.DependenciesMet: dependencies.apply_met,
            events.TasksCancelled: cancellation.apply_cancel,
            events.TaskRetried: cancellation.apply_retry,
            events.PlanCancelAdvanced: plans.apply_cancel,
            events.TasksEvicted: retention.apply,
            events.AdmissionsStarted: admission.apply_started,
            events.AdmissionsGranted: admission.apply_granted,
            events.AdmissionsRefused: admission.apply_refused,
            events.AdmissionsEnded: admission.apply_ended,
            events.SystemTaskCarried: system_tasks.apply_carried,
            events.SystemTasksSettled: system_tasks.apply_settled,
            events.TaskPriorityRaised: interventions.apply_raised,
            events.TaskPostponed: interventions.apply_postponed,
            events.PostponementsEnded: interventions.apply_ended,
            OutboxAcknowledged: _apply_acknowledged,
        }

    @property
    def outbox(self) -> Outbox:
        """What is owed to other services."""
        return self.tables.outbox

    def decide(self, command: Any, at: Moment, session: Any) -> Decision:
        self._deadlines.note(at)
        self.tables.begin_record()
        return self._decide[type(command)](command, at, session)

    def apply(self, event: Any, at: Moment) -> None:
        self._deadlines.note(at)
        self._apply[type(event)](self.tables, event, at)

    def next_due(self) -> int | None:
        return min((due for source in self._sources if (due := source.next_due()) is not None), default=None)

    def set_aside_due(self) -> str:
        return self._served.set_aside()

    def _on_tables(
        self, decide: Callable[[SchedulerTables, Any, Moment], Decision]
    ) -> Callable[[Any, Moment, SchedulerSession], Decision]:
        def decide_without_session(command: Any, at: Moment, _: SchedulerSession) -> Decision:
            return decide(self.tables, command, at)

        return decide_without_session

    def _submit(self, command: commands.Submit, at: Moment, session: SchedulerSession) -> Decision:
        return submission.decide(self.tables, command, at, session)

    def _carry_out(self, command: commands.CarryOut, at: Moment, session: SchedulerSession) -> Decision:
        return system_tasks.decide(self.tables, command, at, session)

    def _start_admissions(self, command: commands.StartAdmissions, at: Moment, session: SchedulerSession) -> Decision:
        return admission.start(self.tables, command, at, session)

    def _acknowledge(self, command: AcknowledgeOutbox, _at: Moment, _session: SchedulerSession) -> Decision:
        event = self.outbox.acknowledge(command)
        return Decision((event,)) if event is not None else NOTHING

    def _dispatch(self, command: commands.Dispatch, at: Moment, session: SchedulerSession) -> Decision:
        return dispatch.decide(self.tables, command, at, session, strategy=self._strategy)

    def _tick(self, command: Tick, at: Moment, session: SchedulerSession) -> Decision:
        for source in self._sources:
            due = source.next_due()
            if due is not None and due <= at.now:
                self._served = source
                found = source.decide(at, session, limit=command.limit)
                if found:
                    return Decision(tuple(found))
        return NOTHING

    def _election_won(self, command: ElectionWon, at: Moment, session: SchedulerSession) -> Decision:
        session.taken_over_at = at.now
        for source in self._sources:
            source.take_back()
        return Decision(admission.give_up(self.tables))


def _apply_acknowledged(tables: SchedulerTables, event: OutboxAcknowledged, _at: Moment) -> None:
    tables.outbox.apply(event)


def _apply_backoffs_ended(tables: SchedulerTables, event: events.BackoffsEnded, at: Moment) -> None:
    for task_id in event.task_ids:
        row = tables.tasks[task_id]
        tables.tasks.put(transitions.ready(row, at, position=tables.take_positions(at)))


def _apply_deadlines_passed(tables: SchedulerTables, event: events.DeadlinesPassed, at: Moment) -> None:
    for task_id in event.task_ids:
        row = tables.tasks[task_id]
        new = transitions.past_deadline(row, at, position=tables.take_positions(at))
        tasks.write(tables, row, new, at)

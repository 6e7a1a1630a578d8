"""Decisions and conflicts within the machine: each command and event goes to the noun that knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_common.machine.system_tasks import SystemTasksClosed, SystemTasksOpened
from tercio_conflicts.state import conflicts, decisions
from tercio_conflicts.state.consultations import answered, verdict
from tercio_conflicts.state.detectors.protocol import Finding
from tercio_conflicts.state.dispute_commands import (
    Attend,
    DeleteFamily,
    DeletePrecedent,
    EscalateConflict,
    PostDecisions,
    ReportActions,
    ReportConflict,
    ReportSystemTasks,
    ResolveConflict,
    SetFamily,
    SetPrecedent,
    WithdrawDecision,
)
from tercio_conflicts.state.dispute_events import (
    ActionsClosed,
    ActionsOpened,
    ConflictChanged,
    ConflictsForgotten,
    ConsultationsEnded,
    ConsultationsSet,
    DecisionsForgotten,
    DecisionsSet,
    FamilyDeleted,
    FamilySet,
    PatternLearned,
    PrecedentDeleted,
    PrecedentSet,
    Step,
)
from tercio_conflicts.state.dispute_rows import ConflictState
from tercio_conflicts.state.dispute_rules import DisputeRules
from tercio_conflicts.state.dispute_tables import DisputeTables
from tercio_conflicts.state.families import MOST_FAMILIES
from tercio_conflicts.state.resolutions.chains import strategies
from tercio_conflicts.state.resolving import Resolver
from tercio_conflicts.state.situation import Disagreement, Situation

KIND_WEBHOOK: Final = "webhook"
_MOST_PRECEDENTS: Final = 1_000


class Posted(NamedTuple):
    """What became of decisions: their numbers, and what they contradict."""

    numbers: tuple[int, ...]
    disagreements: tuple[Disagreement, ...]


class Attended(NamedTuple):
    """What a look did: how many conflicts it changed, and which detectors failed, with their errors."""

    changed: int
    failed: tuple[tuple[str, str], ...]


class Disputes:
    """The part of the machine that is about decisions and conflicts."""

    def __init__(self, tables: DisputeTables, rules: DisputeRules) -> None:
        self.tables, self.rules = tables, rules

    def decide(self, command: Any, at: Moment, look: Callable[[], Situation]) -> Decision:
        """Return what a command does; `look` gives the situation."""
        match command:
            case PostDecisions():
                return self._post(command, at)
            case WithdrawDecision(number=number, agent_id=agent_id):
                row = decisions.present(number, self.tables.decisions)
                if agent_id not in {"", row.agent_id}:
                    raise Refusal("DECISION_OF_ANOTHER", f"decision {number} is of {row.agent_id}, not of {agent_id}")
                return Decision([DecisionsForgotten((number,))])
            case ReportConflict():
                return self._report(command, at, look())
            case ResolveConflict():
                ending = conflicts.open_one(command.conflict_id, self.tables.conflicts)
                resolver = self._resolver(at, look())
                events = resolver.resolved_by_hand(ending, command.resolution, at.principal, command.prevails)
                return Decision(events, events[-1].row)
            case EscalateConflict(conflict_id=conflict_id, reason=reason):
                conflict = conflicts.open_one(conflict_id, self.tables.conflicts)
                if conflict.state is ConflictState.ESCALATED:
                    return Decision((), conflict)
                events = self._resolver(at, look()).escalated(conflict, reason)
                return Decision(events, events[-1].row)
            case Attend(limit=limit):
                return self._attend(at, look(), limit)
            case ReportActions():
                return self._actions_reported(command, at, look())
            case ReportSystemTasks():
                return self._system_tasks_reported(command, at, look())
            case _:
                return self._decide_for_operator(command, at)

    def apply(self, event: Any, at: Moment) -> None:
        """Change the tables."""
        tables = self.tables
        match event:
            case DecisionsSet(rows=rows):
                _put_all(tables.decisions, rows)
            case DecisionsForgotten(numbers=numbers):
                for number in numbers:
                    tables.decisions.delete(number)
            case ConflictChanged(row=row):
                tables.conflicts.put(row)
                if event.notify and row.escalation is not None:
                    entry = f"{row.conflict_id}-{row.occurrence}-{row.escalation.reminders}"
                    tables.outbox.add(KIND_WEBHOOK, entry, conflicts.notice(row), at)
            case ConflictsForgotten(conflict_ids=gone):
                for each in gone:
                    tables.conflicts.delete(each)
            case PatternLearned(row=row, forgotten=forgotten):
                if forgotten is not None:
                    tables.patterns.delete(forgotten)
                tables.patterns.put(row)
            case ActionsOpened(rows=rows):
                _put_all(tables.actions, rows)
            case ActionsClosed(action_ids=gone):
                for each in gone:
                    tables.actions.delete(each)
            case ConsultationsSet(rows=rows):
                _put_all(tables.consultations, rows)
            case ConsultationsEnded(system_task_ids=gone):
                for each in gone:
                    tables.consultations.delete(each)
            case SystemTasksOpened() | SystemTasksClosed():
                tables.system_tasks.apply(event)
            case FamilySet(row=row):
                tables.families.put(row)
            case FamilyDeleted(name=name):
                tables.families.delete(name)
            case PrecedentSet(row=row):
                tables.precedents.put(row)
            case PrecedentDeleted(precedent_id=precedent_id):
                tables.precedents.delete(precedent_id)
            case _:
                raise TypeError(f"the conflicts service knows no event {type(event).__name__}")

    def findings(self, situation: Situation) -> tuple[dict[str, Finding], tuple[tuple[str, str], ...]]:
        """Return what the detectors see, by id, and the errors of those that failed."""
        found: dict[str, Finding] = {}
        failed: list[tuple[str, str]] = []
        for detector in self.rules.detectors:
            try:
                for finding in detector.detect(situation):
                    if finding.confidence >= self.rules.threshold:
                        found.setdefault(finding.conflict_id, finding.bounded())
            except Exception as error:
                failed.append((detector.name, f"{type(error).__name__}: {error}"))
        return found, tuple(failed)

    def _resolver(self, at: Moment, situation: Situation) -> Resolver:
        return Resolver(self.tables, situation, at, strategies(self.tables.disagreements.comparison))

    def _attend(self, at: Moment, situation: Situation, limit: int) -> Decision:
        found, failed = self.findings(situation)
        resolver, events, changed = self._resolver(at, situation), list[Any](), 0
        for conflict_id in sorted(self.tables.open_conflicts.open):
            if changed >= limit:
                break
            row = self.tables.conflicts[conflict_id]
            finding = found.pop(conflict_id, None)
            # A detector that failed says nothing: what it saw before is not gone.
            if finding is None and failed and not row.reported_by:
                continue
            step = resolver.step(row, finding)
            changed += bool(step)
            events += step
        for conflict_id, finding in sorted(found.items()):
            before = self.tables.conflicts.get(conflict_id)
            full = len(self.tables.open_conflicts.open) + changed >= conflicts.MOST_OPEN
            if conflict_id in self.tables.open_conflicts.open or changed >= limit or full:
                continue
            if before is not None and conflicts.is_quiet(before, at.now, self.rules.quiet):
                continue
            changed += 1
            events.append(ConflictChanged(Step.RAISED, conflicts.raised(finding, before, at, situation)))
        if not changed:
            events += self._tidied(at, limit)
        return Decision(events, Attended(changed, failed))

    def _tidied(self, at: Moment, limit: int) -> list[Any]:
        """Return the events that forget what is too old or too much."""
        table, events = self.tables.decisions, list[Any]()
        old = [row.number for row in table.values() if at.now - row.decided_now > self.rules.memory]
        if old:
            events.append(DecisionsForgotten(tuple(sorted(old)[:limit])))
        if gone := self.tables.open_conflicts.excess(self.tables.conflicts, self.rules.max_ended):
            events.append(ConflictsForgotten(gone[:limit]))
        return events

    def _post(self, command: PostDecisions, at: Moment) -> Decision:
        index = self.tables.disagreements
        rows = [decisions.made(spec, number, at, index) for number, spec in enumerate(command.specs)]
        gone = {row.number for spec in command.specs for row in decisions.superseded(spec, index)}
        excess = len(self.tables.decisions) - len(gone) + len(rows) - self.rules.max_decisions
        if excess > 0:
            kept = sorted(row.number for row in self.tables.decisions.values() if row.number not in gone)
            gone |= set(kept[:excess])
        found = [each for row in rows for each in index.like(row) if not gone & {each.one.number, each.other.number}]
        events: list[Any] = [DecisionsForgotten(tuple(sorted(gone)))] if gone else []
        posted = Posted(tuple(row.number for row in rows), tuple(found))
        return Decision([*events, DecisionsSet(tuple(rows))], posted, creates_work=True)

    def _report(self, command: ReportConflict, at: Moment, situation: Situation) -> Decision:
        if len(self.tables.open_conflicts.open) >= conflicts.MOST_OPEN:
            message = f"{conflicts.MOST_OPEN} conflicts are open; resolve some first"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=60_000)
        for number in command.decisions:
            decisions.present(number, self.tables.decisions)
        finding = Finding(
            f"reported_{at.epoch.generation}_{at.seq}",
            command.type,
            command.agents,
            command.severity,
            1.0,
            command.context,
            tasks=command.tasks,
            claims=command.claims,
            decisions=command.decisions,
        )
        row = conflicts.raised(finding, None, at, situation)._replace(reported_by=at.principal)
        return Decision([ConflictChanged(Step.RAISED, row)], row, creates_work=True)

    def _actions_reported(self, command: ReportActions, at: Moment, situation: Situation) -> Decision:
        known = {each.action_id: each for each in command.outcomes if each.action_id in self.tables.actions}
        unknown = tuple(each.action_id for each in command.outcomes if each.action_id not in self.tables.actions)
        if not known:
            return Decision((), unknown)
        resolver, events = self._resolver(at, situation), list[Any]([ActionsClosed(tuple(known))])
        by_conflict: dict[str, list[str]] = {}
        for action_id in known:
            by_conflict.setdefault(self.tables.actions[action_id].conflict_id, []).append(action_id)
        for conflict_id, action_ids in by_conflict.items():
            row = self.tables.conflicts[conflict_id]
            left = set(self.tables.asked.actions(conflict_id)) - set(action_ids)
            undone = [known[each] for each in action_ids if not known[each].done]
            if undone:
                events += _without_closing(resolver.failed(row, undone[0].message or "the scheduler refused it"), left)
            elif row.reported_by and not left and not row.decisions:
                events += _without_closing(resolver.ended(row), left)
        return Decision(events, unknown)

    def _system_tasks_reported(self, command: ReportSystemTasks, at: Moment, situation: Situation) -> Decision:
        closed, unknown = self.tables.system_tasks.close(command.outcomes)
        if not closed.outcomes:
            return Decision((), unknown)
        return Decision([closed, *self.consulted(closed, at, situation)], unknown)

    def consulted(self, closed: SystemTasksClosed, at: Moment, situation: Situation) -> list[Any]:
        """Return what follows for conflicts from the end of system tasks."""
        rows = {
            outcome.system_task_id: answered(self.tables.consultations[outcome.system_task_id], outcome)
            for outcome in closed.outcomes
            if outcome.system_task_id in self.tables.consultations
        }
        if not rows:
            return []
        events: list[Any] = [ConsultationsSet(tuple(rows.values()))]
        resolver = self._resolver(at, situation)
        for conflict_id in sorted({row.conflict_id for row in rows.values()}):
            asked = self.tables.asked.consultations(conflict_id)
            votes = [rows.get(each) or self.tables.consultations[each] for each in asked]
            conflict = self.tables.conflicts[conflict_id]
            choice = verdict(votes, conflict.decisions)
            if choice:
                agents = ", ".join(sorted(each.agent_id for each in votes if each.choice == choice))
                events += resolver.prevailed(conflict, choice, f"{agents} chose decision {choice}")
            elif choice is not None:
                why = next((each.message for each in votes if each.message), "nobody chose one of the decisions")
                events += resolver.failed(conflict, why)
        return events

    def _decide_for_operator(self, command: Any, at: Moment) -> Decision:
        tables = self.tables
        match command:
            case SetFamily(row=family):
                _check_room(family.name, tables.families, MOST_FAMILIES, "families of choices")
                return Decision([FamilySet(family)], family)
            case DeleteFamily(name=name):
                if name not in tables.families:
                    raise Refusal("FAMILY_NOT_FOUND", f"no family {name!r} was added; those of the package stay")
                return Decision([FamilyDeleted(name)])
            case SetPrecedent(row=precedent):
                _check_room(precedent.precedent_id, tables.precedents, _MOST_PRECEDENTS, "established choices")
                precedent = precedent._replace(set_wall=at.wall)
                return Decision([PrecedentSet(precedent)], precedent, creates_work=True)
            case DeletePrecedent(precedent_id=precedent_id):
                if precedent_id not in tables.precedents:
                    raise Refusal("PRECEDENT_NOT_FOUND", f"no established choice {precedent_id!r} is kept; list them")
                return Decision([PrecedentDeleted(precedent_id)])
            case _:
                raise TypeError(f"the conflicts service knows no command {type(command).__name__}")


def _put_all(table: Any, rows: Iterable[Any]) -> None:
    for row in rows:
        table.put(row)


def _check_room(key: str, table: Mapping[str, Any] | Any, most: int, noun: str) -> None:
    if key not in table and len(table) >= most:
        raise Refusal("QUEUE_FULL", f"at most {most} {noun} are kept; delete some first", retry_after_ms=60_000)


def _without_closing(events: Iterable[Any], left: set[str]) -> list[Any]:
    """Return events without the closing of actions that are closed already, but for those that are left."""
    found: list[Any] = []
    for event in events:
        if not isinstance(event, ActionsClosed):
            found.append(event)
        elif left:
            found.append(ActionsClosed(tuple(each for each in event.action_ids if each in left)))
    return found

"""How a conflict is ended: one strategy after the other, each checked by whether the conflict is gone.

A conflict takes one step a look. A strategy runs until the detector does not see the conflict any more, which is its
success, or until its time is over. What no strategy ends goes to people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_common.machine.system_tasks import SystemTasksOpened, SystemTaskWanted
from tercio_conflicts.state import escalation, patterns
from tercio_conflicts.state.conflicts import seen
from tercio_conflicts.state.consultations import KIND, question
from tercio_conflicts.state.detectors.protocol import Finding
from tercio_conflicts.state.dispute_events import (
    ActionsClosed,
    ActionsOpened,
    ConflictChanged,
    ConsultationsEnded,
    ConsultationsSet,
    PatternLearned,
    PrecedentSet,
    Step,
)
from tercio_conflicts.state.dispute_rows import (
    ActionRow,
    AttemptRow,
    ConflictRow,
    ConflictState,
    ConsultationRow,
    Outcome,
    PrecedentRow,
    Standing,
)
from tercio_conflicts.state.dispute_tables import DisputeTables
from tercio_conflicts.state.overruling import overruled
from tercio_conflicts.state.resolutions.protocol import (
    NOT_APPLICABLE,
    SETTLING_MS,
    Plan,
    ReleaseWish,
    Strategy,
    planned,
)
from tercio_conflicts.state.situation import Situation

ENDED_BY_ITSELF: Final = "it ended by itself"


class Releases(NamedTuple):
    """What is asked of the holders of claims; the machine turns it into requests."""

    wishes: tuple[ReleaseWish, ...]


class Resolver:
    """Decides the next step of conflicts at one moment."""

    def __init__(
        self, tables: DisputeTables, situation: Situation, at: Moment, strategies: Mapping[str, Strategy]
    ) -> None:
        self._tables, self._situation, self._at, self._strategies = tables, situation, at, strategies
        self._rules = tables.rules
        self._opened = 0

    def step(self, row: ConflictRow, finding: Finding | None) -> list[Any]:
        """Return the events of the next step; `finding` is what its detector sees now, None when it is gone."""
        if self._is_gone(row, finding):
            return list(self.ended(row))
        if finding is None and not row.reported_by:
            return []
        if finding is not None and (fresh := seen(row, finding, self._situation)) != row:
            return [ConflictChanged(Step.CHANGED, fresh)]
        if row.state is ConflictState.ESCALATED:
            return escalation.due(row, self._at, self._rules)
        if self._at.now - row.raised_now >= self._rules.resolution:
            seconds = self._rules.resolution // 1_000
            return self.escalated(row, f"it was not resolved within {seconds} s")
        if (running := row.running) is not None:
            if self._at.now < running.due:
                return []
            return list(self.failed(row, "the conflict is still there" if finding else "it is not known to be gone"))
        return list(self._next(row))

    def ended(self, row: ConflictRow) -> Iterator[Any]:
        """Give the events with which a conflict that is gone ends."""
        running = row.running
        if running is None:
            yield from self._closed(row)
            tried = row.attempts[-1].strategy if row.attempts else ""
            yield self._resolved(row, ENDED_BY_ITSELF, f"after {tried}" if tried else "by itself", "")
            return
        done = running._replace(outcome=Outcome.SUCCEEDED, ended_now=self._at.now)
        row = row._replace(attempts=(*row.attempts[:-1], done))
        yield from self._closed(row)
        yield self._learned(row, done)
        if (precedent := self._precedent(row, done)) is not None:
            yield PrecedentSet(precedent)
        yield self._resolved(row, done.message, done.strategy, done.prevention)

    def failed(self, row: ConflictRow, why: str) -> Iterator[Any]:
        """Give the events with which the strategy that runs fails."""
        running = row.running
        if running is None:
            return
        message = f"{running.message}: {why}"[:1_024]
        done = running._replace(outcome=Outcome.FAILED, ended_now=self._at.now, message=message)
        row = row._replace(state=ConflictState.OPEN, attempts=(*row.attempts[:-1], done))
        yield from self._closed(row)
        yield self._learned(row, done)
        yield ConflictChanged(Step.STRATEGY_FAILED, row)

    def escalated(self, row: ConflictRow, reason: str) -> list[Any]:
        """Return the events with which people are asked."""
        events = list(self.failed(row, "its time is over")) or list(self._closed(row))
        if row.running is not None:
            row = events.pop().row
        return [*events, escalation.begun(row, reason, self._at, self._rules)]

    def prevailed(self, row: ConflictRow, number: int, why: str) -> list[Any]:
        """Return the events with which one decision of a conflict overrules the others."""
        losing = [each for each in row.decisions if each != number] if row.reported_by else ()
        events = overruled(self._tables, number, row.conflict_id, losing=losing)
        running = row.running
        if running is not None:
            going = running._replace(
                message=f"{running.message}; {why}"[:1_024], precedent=number, due=self._at.now + SETTLING_MS
            )
            events.append(ConflictChanged(Step.CHANGED, row._replace(attempts=(*row.attempts[:-1], going))))
        return events

    def _is_gone(self, row: ConflictRow, finding: Finding | None) -> bool:
        """Tell whether a conflict is gone; one that was reported, when its strategy left nothing of it."""
        held = [each for each in row.claims if each in self._situation.claims]
        released = bool(row.claims) and len(held) <= (len(row.claims) > 1)
        if not row.reported_by:
            # A new leader knows of no work and of nobody who waits until it was told.
            return finding is None and (self._situation.informed or bool(row.decisions) or released)
        if row.running is None:
            return False
        standing = [
            each
            for each in row.decisions
            if (kept := self._tables.decisions.get(each)) is not None and kept.standing is Standing.STANDING
        ]
        return (len(row.decisions) > 1 and len(standing) <= 1) or (len(row.claims) > 1 and released)

    def _next(self, row: ConflictRow) -> Iterator[Any]:
        """Begin the next strategy that can be tried; without any, escalate."""
        for name in self._order(row):
            strategy = self._strategies.get(name)
            try:
                plan = planned(strategy, row, self._situation, self._rules.counsel) if strategy else None
            except Exception as error:
                row = _tried(row, name, Outcome.EXCEPTION, f"{type(error).__name__}: {error}", self._at.now)
                continue
            if isinstance(plan, Plan):
                yield from self._begun(row, name, plan)
                return
            row = _tried(row, name, Outcome.NOT_APPLICABLE, plan.message if plan else NOT_APPLICABLE, self._at.now)
        yield escalation.begun(row, _why_not(row), self._at, self._rules)

    def _order(self, row: ConflictRow) -> list[str]:
        chain = self._rules.chains.get(row.type, ())
        tried = {each.strategy for each in row.attempts}
        known = self._tables.patterns.values() if self._rules.learning else ()
        return [name for name in patterns.ordered(chain, row, known) if name not in tried]

    def _begun(self, row: ConflictRow, name: str, plan: Plan) -> Iterator[Any]:
        attempt = AttemptRow(
            strategy=name,
            outcome=Outcome.RUNNING,
            message=plan.message[:1_024],
            began_now=self._at.now,
            due=self._at.now + plan.wait,
            access_order=plan.access_order,
            delay=plan.delay,
            precedent=plan.precedent,
            prevention=plan.prevention,
        )
        if plan.overrule:
            yield from overruled(self._tables, 0, row.conflict_id, losing=plan.overrule)
        if plan.releases:
            yield Releases(plan.releases)
        if plan.actions:
            yield ActionsOpened(tuple(self._actions(row, plan)))
        if plan.ask:
            opened = self._asked(row, plan)
            yield opened
            yield ConsultationsSet(
                tuple(ConsultationRow(task.system_task_id, row.conflict_id, task.agent_id) for task in opened.tasks)
            )
        attempts = (*row.attempts, attempt)
        yield ConflictChanged(Step.STRATEGY_BEGAN, row._replace(state=ConflictState.RESOLVING, attempts=attempts))

    def _actions(self, row: ConflictRow, plan: Plan) -> Iterator[ActionRow]:
        for action in plan.actions:
            self._opened += 1
            yield ActionRow(
                action_id=f"{self._at.seq}-{self._opened}",
                conflict_id=row.conflict_id,
                kind=action.kind,
                task_id=action.task_id,
                agent_id=action.agent_id,
                after_task_id=action.after_task_id,
                priority=action.priority,
                created_wall=self._at.wall,
                due=self._at.now + plan.wait,
            )

    def _asked(self, row: ConflictRow, plan: Plan) -> SystemTasksOpened:
        asked = question(row, self._tables)
        wanted = [SystemTaskWanted(KIND, agent, timeout=plan.wait, input=asked) for agent in plan.ask]
        opened = self._tables.system_tasks.open(wanted, self._at)
        # Several conflicts may ask in one record, whose ids would be the same.
        suffix = hashlib.sha256(row.conflict_id.encode()).hexdigest()[:8]
        renamed = tuple(task._replace(system_task_id=f"{task.system_task_id}-{suffix}") for task in opened.tasks)
        return SystemTasksOpened(renamed)

    def _closed(self, row: ConflictRow) -> Iterator[Any]:
        """Give the events after which nobody waits for what was asked about a conflict."""
        if actions := self._tables.asked.actions(row.conflict_id):
            yield ActionsClosed(actions)
        if consultations := self._tables.asked.consultations(row.conflict_id):
            yield ConsultationsEnded(consultations)

    def _learned(self, row: ConflictRow, attempt: AttemptRow) -> PatternLearned:
        succeeded = attempt.outcome is Outcome.SUCCEEDED
        key = row.type, attempt.strategy, patterns.features_of(row)
        before = self._tables.patterns.get(key)
        duration = attempt.ended_now - attempt.began_now
        pattern = patterns.learned(
            before, row, attempt.strategy, succeeded=succeeded, duration=duration, now=self._at.now
        )
        full = before is None and len(self._tables.patterns) >= patterns.MOST_PATTERNS
        oldest = min(self._tables.patterns.values(), key=lambda each: (each.used_now, each.key)).key if full else None
        return PatternLearned(pattern, oldest)

    def _precedent(self, row: ConflictRow, attempt: AttemptRow) -> PrecedentRow | None:
        decision = self._tables.decisions.get(attempt.precedent)
        if decision is None:
            return None
        return PrecedentRow(
            precedent_id=f"from-{row.conflict_id}",
            subject=decision.subject,
            choice=decision.choice,
            scope=decision.scope,
            confidence=decision.confidence,
            conflict_id=row.conflict_id,
            set_wall=self._at.wall,
        )

    def _resolved(self, row: ConflictRow, resolution: str, by: str, prevention: str) -> ConflictChanged:
        ended = row._replace(
            state=ConflictState.RESOLVED,
            resolution=resolution,
            resolved_by=by,
            prevention=prevention,
            resolved_now=self._at.now,
            resolved_wall=self._at.wall,
        )
        return ConflictChanged(Step.RESOLVED, ended)

    def resolved_by_hand(self, row: ConflictRow, resolution: str, who: str, prevails: int) -> list[Any]:
        """Return the events with which somebody ends a conflict."""
        events: list[Any] = []
        if prevails:
            losing = [each for each in row.decisions if each != prevails] if row.reported_by else ()
            events += overruled(self._tables, prevails, row.conflict_id, losing=losing)
        if row.running is not None:
            stopped = row.running._replace(outcome=Outcome.FAILED, ended_now=self._at.now)
            row = row._replace(attempts=(*row.attempts[:-1], stopped))
        events += self._closed(row)
        if prevails and (precedent := self._precedent(row, _chosen(prevails))) is not None:
            events.append(PrecedentSet(precedent))
        return [*events, self._resolved(row, resolution, f"by {who}", "")]


def _chosen(number: int) -> AttemptRow:
    return AttemptRow("by hand", Outcome.SUCCEEDED, "", 0, 0, precedent=number)


def _tried(row: ConflictRow, name: str, outcome: Outcome, message: str, now: int) -> ConflictRow:
    attempt = AttemptRow(name, outcome, message[:1_024], now, now, ended_now=now)
    return row._replace(attempts=(*row.attempts, attempt))


def _why_not(row: ConflictRow) -> str:
    if row.attempts and all(each.outcome is Outcome.EXCEPTION for each in row.attempts):
        return "CONFLICT_RESOLUTION_EXCEPTION: every strategy failed unexpectedly"
    if not row.attempts:
        return f"no strategy is known for a {row.type}"
    return "no strategy ended it"

"""What happened to each task, rebuilt from facts alone, and the checks on it.

The states here are fewer than the scheduler's: a check of promises must not repeat the machine that it judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tercio_common.testing.history.checks import Entry
from tercio_common.testing.history.facts import ENDS_ATTEMPT, Attempt, Fact, Kind
from tercio_common.testing.history.recording import ACKNOWLEDGED, LISTED, RESOLVED, WATCHED, Observation

SUCCEEDED, FAILED, CANCELLED, DEAD_LETTER = "SUCCEEDED", "FAILED", "CANCELLED", "DEAD_LETTER"
_TERMINAL = frozenset({SUCCEEDED, FAILED, CANCELLED, DEAD_LETTER})
_SHOWN = 5
"""How many of many offenders a report names."""


@dataclass(slots=True)
class _Task:
    """One task: `end` is its terminal state, `cancel_to` the one that a stopping attempt leads to."""

    limit: int
    failures: int = 0
    live: bool = False
    end: str = ""
    cancel_to: str = ""
    ends: set[str] = field(default_factory=set)


class _Tasks:
    """Tasks by id, kept in step with the facts."""

    def __init__(self) -> None:
        self.by_id: dict[str, _Task] = {}

    def follow(self, fact: Fact) -> None:
        """Take one fact in."""
        if fact.kind is Kind.SUBMITTED:
            self.by_id[fact.task_id] = _Task(fact.limit)
            return
        task = self.by_id.get(fact.task_id)
        if task is None:
            return
        if fact.kind is Kind.OFFERED:
            task.live = True
        elif fact.kind in ENDS_ATTEMPT:
            self._end_attempt(task, fact)
        elif fact.kind in _ASKS_END:
            self._ask_end(task, _ASKS_END[fact.kind])
        elif fact.kind is Kind.RETRIED:
            task.end = task.cancel_to = ""
            task.failures = 0

    def _end_attempt(self, task: _Task, fact: Fact) -> None:
        task.live = False
        if fact.kind is Kind.SUCCEEDED:
            self._finish(task, SUCCEEDED)
        elif task.cancel_to:
            self._finish(task, task.cancel_to)
        elif fact.kind in _COUNTS:
            task.failures += 1
            if fact.permanent or task.failures >= task.limit:
                self._finish(task, DEAD_LETTER)

    def _ask_end(self, task: _Task, state: str) -> None:
        if not task.live:
            self._finish(task, state)
        elif not task.cancel_to:
            task.cancel_to = state

    def _finish(self, task: _Task, state: str) -> None:
        task.end, task.cancel_to = state, ""
        task.ends.add(state)


_COUNTS = frozenset({Kind.FAILED, Kind.STOPPED, Kind.LOST, Kind.TIMED_OUT})
_ASKS_END = {Kind.CANCEL_ASKED: CANCELLED, Kind.EXPIRED: FAILED, Kind.DEPENDENCY_FAILED: FAILED}


class OneResult:
    """G2: a task has at most one result, and it is its present attempt's."""

    promise = "G2"

    def __init__(self) -> None:
        self._result: dict[str, int] = {}

    def see(self, entry: Entry) -> Iterator[str]:
        seq = entry.record.seq
        for fact in entry.facts:
            if fact.kind is Kind.EVICTED:
                self._result.pop(fact.task_id, None)
            if fact.kind is Kind.RETRIED and fact.task_id in self._result:
                yield f"record {seq} retries task {fact.task_id}, which succeeded in {self._result[fact.task_id]}"
            if fact.kind is not Kind.SUCCEEDED:
                continue
            if fact.task_id in self._result:
                yield f"record {seq} gives task {fact.task_id} a second result, after {self._result[fact.task_id]}"
            if fact.attempt != fact.present:
                yield (
                    f"record {seq} takes the result of attempt {fact.attempt} of task {fact.task_id}, "
                    f"whose present attempt is {fact.present}"
                )
            self._result[fact.task_id] = seq

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class AttemptsAreOrdered:
    """G2: a task's attempts rise, and one is offered only while no other is out."""

    promise = "G2"

    def __init__(self) -> None:
        self._out: dict[str, Attempt] = {}

    def see(self, entry: Entry) -> Iterator[str]:
        for fact in entry.facts:
            if fact.kind is Kind.OFFERED and fact.attempt is not None:
                yield from self._offered(entry, fact, fact.attempt)
                self._out[fact.task_id] = fact.attempt
            elif fact.kind in ENDS_ATTEMPT:
                self._out.pop(fact.task_id, None)

    def _offered(self, entry: Entry, fact: Fact, attempt: Attempt) -> Iterator[str]:
        seq = entry.record.seq
        if fact.present is not None and attempt <= fact.present:
            yield f"record {seq} offers attempt {attempt} of task {fact.task_id} after attempt {fact.present}"
        if fact.task_id in self._out:
            out = self._out[fact.task_id]
            yield f"record {seq} offers attempt {attempt} of task {fact.task_id} while attempt {out} is out"

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class AttemptsEndOnce:
    """G6: an attempt ends once, and nothing is recorded of it afterwards."""

    promise = "G6"

    def __init__(self) -> None:
        self._ended: dict[tuple[str, Attempt | None], int] = {}

    def see(self, entry: Entry) -> Iterator[str]:
        seq = entry.record.seq
        for fact in entry.facts:
            if fact.kind not in _OF_ATTEMPT:
                continue
            name = fact.task_id, fact.attempt
            if name in self._ended:
                yield (
                    f"record {seq} says that attempt {fact.attempt} of task {fact.task_id} {fact.kind.value}, "
                    f"but it ended in record {self._ended[name]}"
                )
            if fact.kind in ENDS_ATTEMPT:
                self._ended[name] = seq

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


_OF_ATTEMPT = ENDS_ATTEMPT | {Kind.STARTED, Kind.CHECKPOINTED}


class FailuresAreBounded:
    """G9: a task is not offered again once it failed as often as it may."""

    promise = "G9"

    def __init__(self) -> None:
        self._tasks = _Tasks()

    def see(self, entry: Entry) -> Iterator[str]:
        for fact in entry.facts:
            task = self._tasks.by_id.get(fact.task_id)
            if fact.kind is Kind.OFFERED and task is not None and task.failures >= task.limit:
                yield (
                    f"record {entry.record.seq} offers task {fact.task_id} again after {task.failures} failures of "
                    f"{task.limit}"
                )
            self._tasks.follow(fact)

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class AcceptedTasksSurvive:
    """G1: what a client was told holds: the task is recorded once, and ends as it was told or is still listed."""

    promise = "G1"

    def __init__(self) -> None:
        self._tasks = _Tasks()
        self._evicted: set[str] = set()

    def see(self, entry: Entry) -> Iterator[str]:
        for fact in entry.facts:
            if fact.kind is Kind.SUBMITTED:
                if fact.task_id in self._tasks.by_id and fact.task_id not in self._evicted:
                    yield f"record {entry.record.seq} accepts task {fact.task_id} a second time"
                self._evicted.discard(fact.task_id)
            if fact.kind is Kind.EVICTED:
                self._evicted.add(fact.task_id)
                if not self._tasks.by_id[fact.task_id].end:
                    yield f"record {entry.record.seq} evicts task {fact.task_id}, which has not ended"
            self._tasks.follow(fact)

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        seen = {kind: {} for kind in (ACKNOWLEDGED, RESOLVED, LISTED, WATCHED)}  # type: dict[str, dict[str, str]]
        for observation in observations:
            if observation.kind in seen:
                seen[observation.kind][observation.subject] = observation.state
        known = self._tasks.by_id
        yield from _report("acknowledged, but not recorded", [one for one in seen[ACKNOWLEDGED] if one not in known])
        yield from _report("neither ended nor listed at the end", self._vanished(seen[ACKNOWLEDGED], seen[LISTED]))
        for task_id, state in seen[RESOLVED].items():
            ends = known[task_id].ends if task_id in known else set()
            if state not in ends:
                yield f"a client was told that task {task_id} is {state}; the journal says {sorted(ends) or 'nothing'}"

    def _vanished(self, acknowledged: Iterable[str], listed: dict[str, str]) -> list[str]:
        open_ones = [one for one in acknowledged if one in self._tasks.by_id and not self._tasks.by_id[one].end]
        return [one for one in open_ones if listed.get(one, SUCCEEDED) in _TERMINAL]


class ResolvedOnce:
    """G2, at the client: a task's end is told once."""

    promise = "G2"

    def see(self, entry: Entry) -> Iterable[str]:
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        told: set[str] = set()
        for observation in observations:
            if observation.kind == RESOLVED:
                if observation.subject in told:
                    yield f"a client was told the end of task {observation.subject} twice"
                told.add(observation.subject)


class WatchIsGapless:
    """G10: a watch from the first record shows each change of a task once, in the order of the records.

    Judged only if something was watched, and up to the last record that was. The success of a task may show in those
    that wait for it. Tasks that carry out system tasks show only to who asks for them.
    """

    promise = "G10"

    def __init__(self) -> None:
        self._changes: list[tuple[int, str]] = []
        self._children: dict[str, list[str]] = {}
        self._released: set[tuple[int, str]] = set()
        self._carrying: set[str] = set()

    def see(self, entry: Entry) -> Iterable[str]:
        self._carrying |= {fact.task_id for fact in entry.facts if fact.kind is Kind.CARRIED}
        for fact in entry.facts:
            for parent in fact.parents:
                self._children.setdefault(parent, []).append(fact.task_id)
            if fact.kind is Kind.SUCCEEDED:
                self._released |= {(entry.record.seq, child) for child in self._children.get(fact.task_id, ())}
        touched = dict.fromkeys(fact.task_id for fact in entry.facts if fact.kind is not Kind.EVICTED)
        self._changes += [(entry.record.seq, task_id) for task_id in touched if task_id not in self._carrying]
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        watched = [(one.seq, one.subject) for one in observations if one.kind == WATCHED]
        if not watched:
            return
        if any(later[0] < earlier[0] for earlier, later in pairwise(watched)):
            yield "the watch went back"
        until = max(seq for seq, _ in watched)
        due = {change for change in self._changes if change[0] <= until}
        made_up = set(watched) - due - self._released
        yield from _report("changes that the watch left out", [str(one) for one in sorted(due - set(watched))])
        yield from _report("changes that the watch made up", [str(one) for one in sorted(made_up)])
        if len(watched) != len(set(watched)):
            yield f"the watch showed {len(watched) - len(set(watched))} changes twice"


def _report(what: str, offenders: Sequence[str]) -> Iterator[str]:
    if offenders:
        more = f" and {len(offenders) - _SHOWN} more" if len(offenders) > _SHOWN else ""
        yield f"{len(offenders)} {what}: {', '.join(offenders[:_SHOWN])}{more}"

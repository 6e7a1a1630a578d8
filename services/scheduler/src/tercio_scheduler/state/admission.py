"""Admission: what an attempt needs is asked for before it is offered, and given back when it is over.

The scheduler coordinates, and every step is recorded before it shows outside: an attempt is minted, what it needs is
asked for without waiting, of one service after the other, and it is offered once all of it is granted. The owner of a
grant is the attempt. What a task waits for, the attempt after `TaskRow.number`, is offered by the leader that admitted
it, or by none: a new leader gives up what was not offered and tries anew. Whatever becomes of a task, an admission
whose attempt neither lives nor is to come is over: then its owner's release is owed to each service until it has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Final

from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import NOTHING, Decision, Moment
from tercio_scheduler.state import attempts, events, patience, transitions
from tercio_scheduler.state.admission_rows import AdmissionRow
from tercio_scheduler.state.commands import Admissions, AttemptKey, RevokeUngranted, SettleAdmissions, StartAdmissions
from tercio_scheduler.state.due import AT_ONCE
from tercio_scheduler.state.lines import Line
from tercio_scheduler.state.participants import asked_for, release_entry, release_kind
from tercio_scheduler.state.patience import Barrier, Place
from tercio_scheduler.state.rows import Needs, Requirement, State, TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

MOST_OPEN: Final = 1_000
"""Admissions that were not offered yet: a new leader gives them up in one record."""


def owner_of(key: AttemptKey | AdmissionRow) -> str:
    """Return the owner of an attempt's grants: unique, because no two leaders mint the same attempt."""
    return f"{key.task_id}@{key.epoch}.{key.number}"


def key_of(owner: str) -> AttemptKey:
    """Return the attempt that owns grants."""
    task_id, _, attempt = owner.rpartition("@")
    generation, revision, number = map(int, attempt.split("."))
    return AttemptKey(task_id, Epoch(generation, revision), number)


def start(tables: SchedulerTables, command: StartAdmissions, at: Moment, session: SchedulerSession) -> Decision:
    """Mint attempts for the first tasks that agents have room for, but for those of whose needs too little is free."""
    index = tables.index
    limit = min(command.limit, MOST_OPEN - len(index.admissions_open))
    if limit <= 0 or not index.admitting:
        return Decision((), Admissions())
    lines = list(_in_order(tables, session, at.now, of=command.participants))
    room = _Room(tables, session, {needs.lane.requirement for needs, _ in lines})
    chosen: list[TaskRow] = []
    barriers = patience.barriers(tables, session, at.now)
    for needs, line in lines:
        rows = _untried(tables, _unstopped(tables, line, needs, barriers, at.now), at.committed)
        most = room.take(needs.lane.requirement, limit - len(chosen))
        found = list(islice(rows, most))
        room.give_back(most - len(found))
        chosen += found
    if not chosen:
        return Decision((), Admissions())
    # The number before the next one is written down, so an attempt keeps its number whatever is evicted meanwhile.
    keys = [AttemptKey(row.task_id, at.epoch, (row.number or index.spent + 1) + 1) for row in chosen]
    event = events.AdmissionsStarted(tuple([key.task_id for key in keys]), tuple([key.number for key in keys]))
    return Decision((event,), Admissions(tuple(keys), tuple([row.spec.template.needs for row in chosen])))


class _Room:
    """Which free places of agents are spoken for, by what was admitted and not offered yet and by what is chosen.

    Each takes a place of an agent that can run it: of those, of the one that can run the fewest kinds of what waits. So
    nothing is admitted for which there is no place, and what waits for a busy agent keeps no other one idle.
    """

    def __init__(self, tables: SchedulerTables, session: SchedulerSession, waiting: set[Requirement]) -> None:
        index = tables.index
        self._session = session
        self._free = {link.agent_id: room for link, room in session.free(index.by_agent)}
        opened = Counter([tables.tasks[each].spec.template.requirement for each in index.admissions_open])
        self._kinds = Counter(
            agent_id for kind in waiting | opened.keys() for agent_id in session.able(kind) & self._free.keys()
        )
        self._taken: list[str] = []
        for kind, count in opened.items():
            self.take(kind, count)

    def take(self, kind: Requirement, most: int) -> int:
        """Take up to that many places of agents that can run such a task; return how many there were."""
        self._taken, free = [], self._free
        for agent_id in sorted(self._session.able(kind) & free.keys(), key=lambda each: (self._kinds[each], each)):
            count = min(free[agent_id], most - len(self._taken))
            free[agent_id] -= count
            self._taken += [agent_id] * count
            if len(self._taken) == most:
                break
        return len(self._taken)

    def give_back(self, count: int) -> None:
        """Give back the last places that were taken last."""
        for agent_id in self._taken[len(self._taken) - count :]:
            self._free[agent_id] += 1


def settle(tables: SchedulerTables, command: SettleAdmissions, _at: Moment) -> Decision:
    """Take the answers to attempts that still wait for one."""
    found: list[events.Event] = []
    if granted := _asking(tables, command.granted):
        found.append(events.AdmissionsGranted(granted))
    if refused := _asking(tables, command.refused):
        found.append(events.AdmissionsRefused(refused))
    if given_up := _asking(tables, command.given_up):
        found.append(events.AdmissionsEnded(given_up))
    return Decision(found)


def revoke(tables: SchedulerTables, command: RevokeUngranted, _at: Moment) -> Decision:
    """Take away attempts that hold nothing any more; those that were not offered yet are given up."""
    waiting: list[str] = []
    by_agent: dict[str, list[TaskRow]] = {}
    for key in command.keys:
        if not _is_present(tables, key) or key.task_id in tables.index.admissions_over:
            continue
        row = tables.tasks[key.task_id]
        if key.task_id in tables.index.admissions_open:
            waiting.append(key.task_id)
        elif row.offer is not None:
            by_agent.setdefault(row.offer.agent_id, []).append(row)
    found: list[events.Event] = [events.AdmissionsEnded(tuple(waiting))] if waiting else []
    found += [attempts.ungranted(agent_id, rows) for agent_id, rows in by_agent.items()]
    return Decision(found) if found else NOTHING


def unoffered(tables: SchedulerTables, *, granted_before: int) -> Iterator[AttemptKey]:
    """Give the attempts that were granted what they need before that fleet time in ms, and were not offered since."""
    for task_id in tables.index.admissions_open:
        admission = tables.admissions[task_id]
        if admission.granted and tables.tasks[task_id].entered.now < granted_before:
            yield AttemptKey(task_id, admission.epoch, admission.number)


def holds_from(tables: SchedulerTables, agent_id: str) -> set[str]:
    """Return the participants that granted something to the agent's attempts."""
    held: set[str] = set()
    for task_id in tables.index.by_agent.get(agent_id, ()):
        if admission := tables.admissions.get(task_id):
            held.update(admission.participants)
    return held


def give_up(tables: SchedulerTables) -> list[events.Event]:
    """Return the event by which a new leader gives up what its predecessors did not offer."""
    left = tuple(tables.index.admissions_open)
    return [events.AdmissionsEnded(left)] if left else []


def apply_started(tables: SchedulerTables, event: events.AdmissionsStarted, at: Moment) -> None:
    """Note the attempts."""
    for task_id, number in zip(event.task_ids, event.numbers, strict=True):
        row = tables.tasks[task_id]
        tables.tasks.put(row._replace(number=number - 1))
        participants = asked_for(row.spec.template.needs)
        tables.admissions.put(AdmissionRow(task_id, at.epoch, number, participants=participants))


def apply_granted(tables: SchedulerTables, event: events.AdmissionsGranted, at: Moment) -> None:
    """Let the tasks be offered."""
    for task_id in event.task_ids:
        tables.admissions.put(tables.admissions[task_id]._replace(granted=True))
        tables.tasks.put(transitions.admitted(tables.tasks[task_id], at))


def apply_refused(tables: SchedulerTables, event: events.AdmissionsRefused, at: Moment) -> None:
    """Forget the attempts."""
    for task_id in event.task_ids:
        _void(tables, tables.admissions[task_id], at)
        tables.admissions.delete(task_id)


def apply_ended(tables: SchedulerTables, event: events.AdmissionsEnded, at: Moment) -> None:
    """Owe the release of what the attempts may hold, and forget them."""
    for task_id in event.task_ids:
        admission = tables.admissions[task_id]
        agent_id = _agent_of(tables, admission)
        _void(tables, admission, at)
        for participant in admission.participants:
            entry = release_entry(participant, owner_of(admission))
            tables.outbox.add(release_kind(participant), entry, agent_id.encode(), at)
        tables.admissions.delete(task_id)


class Ending:
    """The source that ends admissions whose attempt is over; see `due.Source`."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._aside: set[str] = set()
        self._served: tuple[str, ...] = ()

    def next_due(self) -> int | None:
        over = self._tables.index.admissions_over
        return AT_ONCE if over and over.keys() - self._aside else None

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        over = (task_id for task_id in self._tables.index.admissions_over if task_id not in self._aside)
        self._served = tuple(islice(over, limit))
        return [events.AdmissionsEnded(self._served)]

    def set_aside(self) -> str:
        self._aside.update(self._served)
        return f"release of the resources of {', '.join(self._served)}"

    def take_back(self) -> None:
        self._aside.clear()


def _in_order(
    tables: SchedulerTables, session: SchedulerSession, now: int, *, of: Container[str]
) -> list[tuple[Needs, Line]]:
    """Return the lines that may be asked for, as the turns of their first tasks come."""
    ordered: list[tuple[Place, Needs, Line]] = []
    for needs, line in tables.index.admitting.lines():
        if session.shortages.stands(needs, now) or not all(name in of for name in asked_for(needs)):
            continue
        ordered.append((patience.place_of(tables, next(iter(line)), now), needs, line))
    ordered.sort(key=lambda each: each[0])
    return [(needs, line) for _, needs, line in ordered]


def _unstopped(
    tables: SchedulerTables, line: Line, needs: Needs, barriers: Sequence[Barrier], now: int
) -> Iterator[TaskRow]:
    """Give the tasks of a line that need not wait for somebody else's turn."""
    if not barriers:
        return iter(line)

    def goes(row: TaskRow) -> bool:
        place = patience.place_of(tables, row, now)
        return not any(barrier.stops(needs, place) for barrier in barriers)

    return takewhile(goes, line)


def _untried(tables: SchedulerTables, rows: Iterable[TaskRow], committed: int) -> Iterator[TaskRow]:
    admissions = tables.admissions
    return (row for row in rows if row.task_id not in admissions and row.ready.seq <= committed)


def _is_present(tables: SchedulerTables, key: AttemptKey) -> bool:
    admission = tables.admissions.get(key.task_id)
    return admission is not None and admission.epoch == key.epoch and admission.number == key.number


def _asking(tables: SchedulerTables, keys: Sequence[AttemptKey]) -> tuple[str, ...]:
    """Return the tasks of those attempts that still wait for an answer."""
    still = tables.index.admissions_open
    return tuple(
        [
            key.task_id
            for key in keys
            if key.task_id in still and _is_present(tables, key) and not tables.admissions[key.task_id].granted
        ]
    )


def _agent_of(tables: SchedulerTables, admission: AdmissionRow) -> str:
    """Return the agent that the attempt was offered to; empty when there was none."""
    row = tables.tasks.get(admission.task_id)
    if row is None or row.offer is None or row.number != admission.number:
        return ""
    return row.offer.agent_id


def _void(tables: SchedulerTables, admission: AdmissionRow, at: Moment) -> None:
    """See to it that an attempt that was never offered never will be."""
    row = tables.tasks.get(admission.task_id)
    if row is not None and row.number < admission.number:
        row = row._replace(number=admission.number)
        tables.tasks.put(transitions.put_back(row, at) if row.state is State.READY else row)

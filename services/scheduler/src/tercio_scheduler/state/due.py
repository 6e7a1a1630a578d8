"""What becomes due by itself: each source in turn gives the events of one `Tick`.

A `Tick` serves one source only, so that no event of it is decided on rows that another one changes. Sources come in the
order in which they must not wait for each other; the host asks again while anything is due.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, Protocol

from tercio_common.machine.protocol import Moment
from tercio_scheduler.state import attempts, dependencies, events, plans
from tercio_scheduler.state.rows import State
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

AT_ONCE: Final = 0
"""A fleet time that is always in the past."""
_LEASE_CHECK_MS: Final = 1_000
"""Leases are looked at this often while attempts are out, and when the earliest one ends."""
_FASTEST_WALL: Final = (10, 11)
"""Wall time runs at most a tenth faster than fleet time, so a deadline is at least this share of the wait away."""


class Source(Protocol):
    """One kind of thing that becomes due."""

    def next_due(self) -> int | None:
        """Return the fleet time at which to look again; None when there is nothing to wait for."""
        ...

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        """Return what is due, about `limit` tasks at most."""
        ...

    def set_aside(self) -> str:
        """Take out of the way what the last `decide`, with a limit of 1, was about; return its name."""
        ...

    def take_back(self) -> None:
        """Forget what was set aside."""
        ...


class Leases:
    """Agents that were not heard from for longer than the attempt lease lose their attempts, the newest first.

    Those that hold resources have a lease of their own, so that their agents can end them in time.
    """

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._check_at: int | None = None
        self._lost: list[str] = []
        self._aside: set[str] = set()

    def next_due(self) -> int | None:
        if not self._tables.index.by_agent:
            self._check_at = None
            return None
        return AT_ONCE if self._check_at is None else self._check_at

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        limits, admissions = self._tables.limits, self._tables.index.admissions
        lease_ms = limits.attempt_lease_ms
        longer_ms = max(0, limits.granted_lease_ms - lease_ms)
        self._lost = []
        self._check_at = at.now + _LEASE_CHECK_MS
        found: list[events.Event] = []
        revoked = 0
        for agent_id in self._tables.index.by_agent:
            end = session.renewed_at(agent_id, now=at.now) + lease_ms
            if end >= at.now:
                self._check_at = min(self._check_at, end + 1)
            elif agent_id not in self._aside:
                mine = attempts.held_by(self._tables, agent_id)
                if admissions and (granted_end := end + longer_ms) >= at.now:
                    mine = [row for row in mine if row.task_id not in admissions]
                    self._check_at = min(self._check_at, granted_end + 1)
                if not mine:
                    continue
                self._lost.append(agent_id)
                message = f"agent {agent_id} was not heard from for {at.now - end + lease_ms} ms"
                found.append(attempts.revoke(agent_id, mine, message=message, limit=limit - revoked))
                revoked += len(mine)
                if revoked >= limit:
                    self._check_at = AT_ONCE
                    break
        return found

    def set_aside(self) -> str:
        self._aside.update(self._lost)
        return f"lease of agents {', '.join(self._lost)}"

    def take_back(self) -> None:
        self._aside.clear()


class TaskTimers:
    """Attempts that ran too long, cancellations without an answer, and failures that were waited for long enough."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables

    def next_due(self) -> int | None:
        return self._tables.index.timers.first()

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        rows = self._tables.index.timers.due(at.now, limit=limit)
        waited = tuple([row.task_id for row in rows if row.state is State.BACKOFF])
        late = tuple([row.task_id for row in rows if row.state is not State.BACKOFF])
        found: list[events.Event] = []
        if late:
            found.append(events.AttemptsTimedOut(late))
        if waited:
            found.append(events.BackoffsEnded(waited))
        return found

    def set_aside(self) -> str:
        return f"timer of task {self._tables.index.timers.set_aside()}"

    def take_back(self) -> None:
        self._tables.index.timers.take_back()


class Deadlines:
    """Absolute deadlines, which are wall time."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._now = 0
        self._wall = 0

    def note(self, at: Moment) -> None:
        """Remember how the two clocks stand to each other."""
        self._now, self._wall = at.now, at.wall

    def next_due(self) -> int | None:
        first = self._tables.index.deadlines.first()
        if first is None:
            return None
        wait = first - self._wall
        if wait <= 0:
            return self._now
        share, whole = _FASTEST_WALL
        return self._now + max(1, wait * share // whole)

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        rows = self._tables.index.deadlines.due(at.wall, limit=limit)
        return [events.DeadlinesPassed(tuple([row.task_id for row in rows]))] if rows else []

    def set_aside(self) -> str:
        return f"deadline of task {self._tables.index.deadlines.set_aside()}"

    def take_back(self) -> None:
        self._tables.index.deadlines.take_back()


class Descendants:
    """Children of tasks that did not succeed."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._served = ""
        self._aside: set[str] = set()

    def next_due(self) -> int | None:
        return AT_ONCE if next(dependencies.doomed(self._tables, aside=self._aside), "") else None

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        children = tuple(islice(dependencies.doomed(self._tables, aside=self._aside), limit))
        self._served = children[0] if children else ""
        return [events.DependenciesFailed(tuple(dict.fromkeys(children)))] if children else []

    def set_aside(self) -> str:
        # What was undone may have come back in another order, so the first one is not always the one that failed.
        self._aside.add(self._served)
        return f"failure of task {self._served}, whose parent did not succeed"

    def take_back(self) -> None:
        self._aside.clear()


class Releases:
    """Children of tasks that succeeded, beyond those that one record releases."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._served = ""
        self._aside: set[str] = set()

    def next_due(self) -> int | None:
        return AT_ONCE if next(dependencies.met(self._tables, aside=self._aside), "") else None

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        children = tuple(islice(dependencies.met(self._tables, aside=self._aside), limit))
        self._served = children[0] if children else ""
        return [events.DependenciesMet(tuple(dict.fromkeys(children)))] if children else []

    def set_aside(self) -> str:
        self._aside.add(self._served)
        return f"release of task {self._served}, whose parent succeeded"

    def take_back(self) -> None:
        self._aside.clear()


class PlanCancellations:
    """Plans whose cancellation is under way."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._served = ""
        self._aside: set[str] = set()

    def next_due(self) -> int | None:
        return AT_ONCE if any(plan not in self._aside for plan in self._tables.plan_index.cancelling) else None

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        cancelling = self._tables.plan_index.cancelling
        self._served = next(plan for plan in cancelling if plan not in self._aside)
        return [plans.step(self._tables, self._served, limit=limit)]

    def set_aside(self) -> str:
        self._aside.add(self._served)
        return f"cancellation of plan {self._served}"

    def take_back(self) -> None:
        self._aside.clear()

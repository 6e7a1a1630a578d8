"""Roll-outs: a change of configuration for many agents, a few at a time.

A roll-out goes through the agents in the order of their ids and keeps only where it is, so its row stays small however
large the fleet is. A step is over when each of its agents runs the change and was observed, or has given it up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Final

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table, TableStore
from tercio_registry.state.agenda import AT_ONCE, Agenda
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.config_commands import CancelRollout, PauseRollout, StartRollout, UpdateConfig
from tercio_registry.state.config_events import ConfigProposed, ConfigRestored, RolloutAdvanced, RolloutStarted
from tercio_registry.state.configurations import Configurations, check_room
from tercio_registry.state.delivery import MOST_BYTES
from tercio_registry.state.filters import AgentFilter, Candidate, compile_expression
from tercio_registry.state.revisions import RevisionRow, RevisionState
from tercio_registry.state.rollout_rows import Failure, Member, RolloutRow, RolloutState
from tercio_registry.state.session import Session
from tercio_registry.state.views import IdOrder, recorded_state

ROLLOUTS: Final = "rollouts"
MOST_STEP: Final = 500
_MOST_ROLLOUTS: Final = 100
_MOST_FAILURES: Final = 100
_LOOKS: Final = 20_000
"""Agents that one record looks at, by the cost of the filter: some 20 ms."""
_COUNTED: Final = 10 * _LOOKS
"""As many are looked at to find out how many a percentage is: some 200 ms at the start of a roll-out, and all agents
unless the filter is costly and the fleet large."""
_AT_ONCE: Final = 20
"""Agents that one record takes into a step: ordinary changes are worked out in some 15 ms, the costliest in 1 s."""
_AGAIN_MS: Final = 1_000

StepEvent = ConfigProposed | ConfigRestored | RolloutAdvanced


class Rollouts:
    """The roll-outs of one machine."""

    def __init__(
        self, store: TableStore, agents: Table[AgentRow], order: IdOrder, configurations: Configurations
    ) -> None:
        """Add the table to `store`; changes are made by way of `configurations`."""
        self.table: Table[RolloutRow] = Table(ROLLOUTS, lambda row: row.rollout_id, store=store, fed=False)
        self.agenda = Agenda()
        self._agents, self._order, self._configurations = agents, order, configurations
        self.table.add_index(self)
        configurations.revisions.table.add_index(_Progress(self))

    def changed(self, key: str, old: RolloutRow | None, new: RolloutRow | None) -> None:
        """See `Index`."""
        if new is None or new.state.is_over:
            self.agenda.drop(key)
        else:
            self.agenda.set(key, AT_ONCE)

    def start(self, command: StartRollout, at: Moment, session: Session, *, room: int) -> RolloutStarted:
        """Decide to start one, unless there is no `room` for it, in bytes.

        Raises:
            Refusal: CONFIGURATION_CONFLICT when the id is taken, QUEUE_FULL.
        """
        if command.rollout_id in self.table:
            message = f"roll-out {command.rollout_id!r} exists already; choose another id"
            raise Refusal("CONFIGURATION_CONFLICT", message, {"rolloutId": command.rollout_id})
        if sum(not row.state.is_over for row in self.table.values()) >= _MOST_ROLLOUTS:
            message = f"{_MOST_ROLLOUTS} roll-outs are under way; wait until one is over, or cancel one"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=60_000)
        check_room(len(command.change.text), room)
        size = command.step_size
        if command.percent:
            count = self._count(command.filter, session)
            size = min(MOST_STEP, max(1, -(-count * command.percent // 100)))
        return RolloutStarted(
            rollout_id=command.rollout_id,
            filter=command.filter,
            change=command.change,
            step_size=size,
            pause=command.pause,
            observe=command.observe,
            max_failures=command.max_failures,
            rolls_back=command.rolls_back,
        )

    def pause(self, command: PauseRollout) -> RolloutAdvanced | None:
        """Decide to pause or to go on; None when nothing changes.

        Raises:
            Refusal: ROLLOUT_NOT_FOUND or ROLLOUT_STATE_CONFLICT.
        """
        row = self.present(command.rollout_id)
        wanted = RolloutState.PAUSED if command.paused else RolloutState.RUNNING
        if row.state is wanted:
            return None
        _check_stoppable(row)
        return _moved(row, wanted)

    def cancel(self, command: CancelRollout) -> RolloutAdvanced | None:
        """Decide to end one; None when it was cancelled before. Raises as `pause`."""
        row = self.present(command.rollout_id)
        if row.state is RolloutState.CANCELLED:
            return None
        _check_stoppable(row)
        return _moved(row, RolloutState.CANCELLED)

    def present(self, rollout_id: str) -> RolloutRow:
        """Return a roll-out, or raise ROLLOUT_NOT_FOUND."""
        row = self.table.get(rollout_id)
        if row is None:
            message = f"no roll-out {rollout_id!r} is kept; list roll-outs to see which are"
            raise Refusal("ROLLOUT_NOT_FOUND", message, {"rolloutId": rollout_id})
        return row

    def newest_first(self) -> list[RolloutRow]:
        """Return every roll-out that is kept."""
        return sorted(self.table.values(), key=lambda row: (-row.created_seq, row.rollout_id))

    def count_by_state(self) -> Counter[RolloutState]:
        """Count the roll-outs that are kept; they are few."""
        return Counter(row.state for row in self.table.values())

    def due(self, at: Moment, session: Session, *, room: int) -> list[StepEvent]:
        """Decide what is due for one roll-out; `room` is how many bytes new revisions may take."""
        while (rollout_id := self.agenda.pop(at.now)) is not None:
            with self.agenda.kept_on_failure(rollout_id, at.now):
                events = list(self._advance(self.table[rollout_id], at, session, room=room))
            if events:
                self.agenda.set(rollout_id, at.now + 1)  # should this be undone, it is looked at again
                return events
        return []

    def apply(self, event: RolloutStarted | RolloutAdvanced, at: Moment) -> None:
        """Change the table."""
        if isinstance(event, RolloutStarted):
            self._apply_start(event, at)
            return
        row = self.table[event.rollout_id]
        self.table.put(
            replace(
                row,
                state=event.state,
                changed_wall=at.wall,
                due=at.now + row.pause if event.step_ended else row.due,
                after=event.after or row.after,
                room=event.room,
                exhausted=event.exhausted,
                step=() if event.step_ended else row.step + event.joined,
                succeeded=row.succeeded + event.succeeded,
                failed=row.failed + len(event.failures),
                restored=row.restored + event.restored,
                failures=(row.failures + event.failures)[:_MOST_FAILURES],
            )
        )

    def _apply_start(self, event: RolloutStarted, at: Moment) -> None:
        for row in [row for row in self.newest_first() if row.state.is_over][_MOST_ROLLOUTS - 1 :]:
            self.table.delete(row.rollout_id)
        self.table.put(
            RolloutRow(
                rollout_id=event.rollout_id,
                filter=event.filter,
                change=event.change,
                step_size=event.step_size,
                pause=event.pause,
                observe=event.observe,
                max_failures=event.max_failures,
                rolls_back=event.rolls_back,
                created_seq=at.seq,
                author=at.principal,
                created_wall=at.wall,
                changed_wall=at.wall,
                due=at.now,
                room=event.step_size,
            )
        )

    def _advance(self, row: RolloutRow, at: Moment, session: Session, *, room: int) -> Iterator[StepEvent]:
        if row.state is RolloutState.ROLLING_BACK:
            yield from self._undo(row, at)
        elif row.state is not RolloutState.RUNNING:
            return
        elif row.room and not row.exhausted:
            if at.now < row.due:
                self.agenda.set(row.rollout_id, row.due)
            else:
                yield from self._fill(row, at, session, room=room)
        elif not any(self._is_open(member) for member in row.step):
            yield self._step_ended(row)

    def _fill(self, row: RolloutRow, at: Moment, session: Session, *, room: int) -> Iterator[StepEvent]:
        """Take agents into the step, as many as fit into it and into a record."""
        proposals: list[ConfigProposed] = []
        failures: list[Failure] = []
        after, size, exhausted, most = row.after, 0, True, min(row.room, _AT_ONCE)
        for looks, agent_id in enumerate(self._order.after(row.after)):
            full = len(proposals) + len(failures) >= most or size >= MOST_BYTES
            if full or looks >= _LOOKS // _compiled(row.filter).cost:
                exhausted = False
                break
            after = agent_id
            if not self._matches(self._agents[agent_id], row.filter, session):
                continue
            command = UpdateConfig(agent_id=agent_id, change=row.change, observe=row.observe, rollout_id=row.rollout_id)
            try:
                proposals.append(self._configurations.update(command, room=room - size))
                size += len(proposals[-1].document.encode())
            except Refusal as refusal:
                failures.append(Failure(agent_id, 0, refusal.reason))
        yield from proposals
        yield RolloutAdvanced(
            rollout_id=row.rollout_id,
            state=row.state,
            joined=tuple(Member(each.agent_id, each.revision) for each in proposals),
            after=after,
            room=row.room - len(proposals) - len(failures),
            exhausted=exhausted,
            failures=tuple(failures),
        )

    def _step_ended(self, row: RolloutRow) -> RolloutAdvanced:
        failures = tuple(failure for member in row.step if (failure := self._failure(member)) is not None)
        state = row.state
        if row.failed + len(failures) > row.max_failures:
            state = RolloutState.ROLLING_BACK if row.rolls_back else RolloutState.FAILED
        elif row.exhausted:
            state = RolloutState.SUCCEEDED
        return RolloutAdvanced(
            rollout_id=row.rollout_id,
            state=state,
            room=row.step_size,
            exhausted=row.exhausted,
            step_ended=True,
            succeeded=len(row.step) - len(failures),
            failures=failures,
        )

    def _undo(self, row: RolloutRow, at: Moment) -> Iterator[StepEvent]:
        """Restore what agents had before, as many as fit into a record; one that tries something else comes later."""
        changed = list(self._configurations.revisions.by_rollout.get(row.rollout_id, ()))
        free = [each for each in changed if not self._configurations.row(each).trial][:MOST_STEP]
        for agent_id in free:
            yield ConfigRestored(
                agent_id=agent_id,
                state=RevisionState.ROLLED_BACK,
                reason="ROLLOUT_ROLLED_BACK",
                message=f"roll-out {row.rollout_id} stopped itself",
            )
        if free or not changed:
            state = row.state if changed else RolloutState.ROLLED_BACK
            yield replace(_moved(row, state), restored=len(free))
        else:
            self.agenda.set(row.rollout_id, at.now + _AGAIN_MS)

    def _is_open(self, member: Member) -> bool:
        revision = self._configurations.revisions.get(*member)
        return revision is not None and revision.state.is_open

    def _failure(self, member: Member) -> Failure | None:
        revision = self._configurations.revisions.get(*member)
        if revision is None:
            return Failure(*member, "AGENT_NOT_FOUND")
        return Failure(*member, revision.reason) if revision.reason else None

    def _count(self, expression: str, session: Session) -> int:
        """Return how many agents match: of a fleet that is too large for the filter an estimate, from a part of it."""
        looked = min(len(self._agents), max(1, _COUNTED // _compiled(expression).cost))
        rows = islice(self._agents.values(), looked)
        found = sum(self._matches(row, expression, session) for row in rows)
        return -(-found * len(self._agents) // looked) if looked else 0

    def _matches(self, row: AgentRow, expression: str, session: Session) -> bool:
        # As recorded: that a new leader has not heard an agent yet does not take it out of a roll-out.
        candidate = Candidate(row, recorded_state(row), session.active_attempts(row.agent_id))
        return row.active and _compiled(expression).matches(candidate)


class _Progress:
    """Looks at a roll-out when one of its revisions changed."""

    def __init__(self, owner: Rollouts) -> None:
        self._owner = owner

    def changed(self, key: tuple[str, int], old: RevisionRow | None, new: RevisionRow | None) -> None:
        row = new or old
        if row is not None and (rollout := self._owner.table.get(row.rollout_id)) is not None:
            self._owner.changed(rollout.rollout_id, rollout, rollout)


@lru_cache(maxsize=64)
def _compiled(expression: str) -> AgentFilter:
    return AgentFilter(expression=compile_expression(expression))


def _moved(row: RolloutRow, state: RolloutState) -> RolloutAdvanced:
    return RolloutAdvanced(rollout_id=row.rollout_id, state=state, room=row.room, exhausted=row.exhausted)


def _check_stoppable(row: RolloutRow) -> None:
    if row.state not in {RolloutState.RUNNING, RolloutState.PAUSED}:
        raise Refusal(
            "ROLLOUT_STATE_CONFLICT",
            f"roll-out {row.rollout_id!r} is {row.state.name}; only one that is RUNNING or PAUSED can be changed",
            {"rolloutId": row.rollout_id, "state": row.state.name},
        )

"""Whether pools of agents were kept: G11, and G3 for what a driver was told.

Judged from the journal of the scaling service and from what agents and the ground of their driver saw. The events are
decoded by the service's own decoder and told apart by the name of their type.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.testing.history.checks import Check, Entry
from tercio_common.testing.history.facts import Decode, decoder
from tercio_common.testing.history.recording import (
    CUT_OFF,
    DRIVEN,
    RECONNECTED,
    TOLD_TO_END,
    WORKED,
    Observation,
)

_SLEW_MS: Final = 250
"""Wall time in records may differ from the machine's by this much."""
_JUST_BEGUN_MS: Final = 500
"""An agent that registers while the registry is asked about it cannot be cordoned before; it drains by itself."""
_CARRIED_OUT_MS: Final = 10_000
"""A driver is told of a change of the bounds within this time, also while replicas are replaced."""
_EVER: Final = 1 << 62


def scaling_checks(decode: Decode | None = None, *, stale_ms: int) -> list[Check]:
    """Return every check of pools, with nothing seen yet; by default with the service's own decoder.

    Args:
        decode: gives events from bytes.
        stale_ms: what is seen and older than this may decide nothing.
    """
    decode = decode or decoder("scaling")
    return [
        WithinBounds(decode),
        BusyStay(decode),
        OutagesChangeNothing(decode, stale_ms=stale_ms),
        DrivenByOne(decode),
    ]


class _Bounds(NamedTuple):
    """From when on, in wall time, a pool has had these bounds."""

    since: int
    least: int
    most: int


class PoolCheck:
    """What every check of pools needs: the events of a record, and what is declared."""

    promise = "G11"

    def __init__(self, decode: Decode) -> None:
        """Decode events with `decode`."""
        self._decode = decode
        self.pools: dict[str, Any] = {}
        self.states: dict[str, Any] = {}

    def see(self, entry: Entry) -> Iterator[str]:
        for data in entry.record.events:
            event = self._decode(data)
            name = type(event).__name__
            yield from self.follow(name, event, entry)
            if name == "PoolApplied":
                self.pools[event.row.pool_id] = event.row
            elif name == "PoolAdvanced":
                self.states[event.row.pool_id] = event.row
            elif name == "PoolForgotten":
                self.pools.pop(event.pool_id, None)
                self.states.pop(event.pool_id, None)

    def follow(self, name: str, event: Any, entry: Entry) -> Iterable[str]:
        """Follow one event, before it counts as seen; give what is wrong with it."""
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class WithinBounds(PoolCheck):
    """G11: no decision leaves the bounds in force, nor does what a driver is asked for; a deleted pool ends at 0."""

    def __init__(self, decode: Decode) -> None:
        """See `PoolCheck`."""
        super().__init__(decode)
        self._bounds: dict[str, list[_Bounds]] = defaultdict(list)

    def follow(self, name: str, event: Any, entry: Entry) -> Iterator[str]:
        if name == "PoolApplied":
            self._note(event.row, self.states.get(event.row.pool_id), entry)
        elif name == "PoolAdvanced":
            state = event.row
            self._note(self.pools[state.pool_id], state, entry)
            before = self.states[state.pool_id].decided if state.pool_id in self.states else 0
            bounds = self._bounds[state.pool_id][-1]
            if state.decided > max(before, bounds.most) or state.decided < min(before, bounds.least):
                yield (
                    f"record {entry.record.seq} decides {state.decided} agents for {state.pool_id}, which had {before} "
                    f"and may have {bounds.least} to {bounds.most}"
                )

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        asked: dict[str, int] = {}
        for one in observations:
            if one.kind != DRIVEN:
                continue
            before = asked.get(one.subject, one.seq)
            asked[one.subject] = one.seq
            least, most = self._at(one.subject, one.asked_ms)
            if one.seq > max(before, most) or one.seq < min(before, least):
                yield (
                    f"the driver of {one.subject} is asked for {one.seq} agents at {one.asked_ms}, after {before}; it "
                    f"may have {least} to {most}"
                )

    def _note(self, row: Any, state: Any, entry: Entry) -> None:
        surge = state.surge if state is not None else None
        least = 0 if row.deleting else row.pool.least
        most = max(row.pool.most, surge.most if surge is not None else 0)
        self._bounds[row.pool_id].append(_Bounds(entry.record.wall_ms, least, most))

    def _at(self, pool_id: str, when: int) -> tuple[int, int]:
        """Return the widest bounds for which a driver may still, or already, be asked then."""
        known = self._bounds[pool_id]
        first = bisect_right([each.since for each in known], when - _CARRIED_OUT_MS) - 1
        last = bisect_right([each.since for each in known], when + _SLEW_MS)
        near = known[max(0, first) : last]
        return min((each.least for each in near), default=0), max((each.most for each in near), default=0)


class _Chosen(NamedTuple):
    """An agent was chosen to leave, and may finish its work until then, in wall time."""

    agent_id: str
    until: int


class BusyStay(PoolCheck):
    """G11: whoever has work under way is not told to end before it has had the drain limit for it."""

    def __init__(self, decode: Decode) -> None:
        """See `PoolCheck`."""
        super().__init__(decode)
        self._chosen: dict[str, set[_Chosen]] = defaultdict(set)

    def follow(self, name: str, event: Any, entry: Entry) -> Iterable[str]:
        if name == "PoolAdvanced":
            limit = self.pools[event.row.pool_id].drain_limit
            for victim in event.row.victims:
                self._chosen[victim.agent_id].add(_Chosen(victim.agent_id, victim.chosen_wall + limit))
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        work: dict[str, list[Observation]] = defaultdict(list)
        for one in observations:
            if one.kind == WORKED:
                work[one.subject].append(one)
        for one in observations:
            if one.kind != TOLD_TO_END:
                continue
            at = one.asked_ms
            busy = [each for each in work[one.subject] if each.asked_ms + _JUST_BEGUN_MS < at < each.answered_ms]
            if busy and not any(each.until - _SLEW_MS <= at for each in self._chosen[one.subject]):
                yield (
                    f"agent {one.subject} is told to end at {at}, with {busy[0].state} under way since "
                    f"{busy[0].asked_ms}, and has not had the drain limit for it"
                )


class OutagesChangeNothing(PoolCheck):
    """G11: what is not seen any more decides nothing, and while the store is away nobody is told anything."""

    def __init__(self, decode: Decode, *, stale_ms: int) -> None:
        """Judge what is decided on what is older than `stale_ms`."""
        super().__init__(decode)
        self._stale_ms = stale_ms
        self._decided: list[tuple[int, int, str]] = []

    def follow(self, name: str, event: Any, entry: Entry) -> Iterable[str]:
        if name == "EventsNoted":
            for row in event.rows:
                # What people decide is not drawn from what is seen.
                if row.kind.name.startswith("SCALED_") and row.inputs is not None and row.wall == entry.record.wall_ms:
                    self._decided.append((row.wall, entry.record.seq, f"{row.before} to {row.after} agents"))
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        for what, begin, end in _outages(observations):
            blind = begin + self._stale_ms + _SLEW_MS
            for wall, seq, change in self._decided:
                if blind < wall < end - _SLEW_MS:
                    yield f"record {seq} decides {change} at {wall}, while {what} was away from {begin} to {end}"
            if what != STORE:
                continue
            for one in observations:
                if one.kind in (DRIVEN, TOLD_TO_END) and begin + _SLEW_MS < one.asked_ms < end:
                    away = f"while the store was away from {begin} to {end}"
                    yield f"{one.subject} is {one.kind} at {one.asked_ms}, {away}"


class DrivenByOne(PoolCheck):
    """G3: after a leader's first write to a driver's ground no older leader has one there."""

    promise = "G3"

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        highest: dict[str, Epoch] = {}
        for one in observations:
            if one.kind != DRIVEN:
                continue
            epoch = Epoch(one.generation, one.revision)
            if epoch < highest.get(one.subject, NO_EPOCH):
                yield (
                    f"the driver of {one.subject} is asked for {one.seq} agents by the leader of epoch {epoch}, after "
                    f"that of {highest[one.subject]}: a stale leader drove"
                )
            highest[one.subject] = max(epoch, highest.get(one.subject, NO_EPOCH))


STORE: Final = "store"
"""Subject of an outage of etcd; others are those of the service that is away."""


def _outages(observations: Iterable[Observation]) -> Iterator[tuple[str, int, int]]:
    """Give what was away, from when and until when."""
    since: dict[str, int] = {}
    for one in observations:
        if one.kind == CUT_OFF:
            since[one.subject] = one.asked_ms
        elif one.kind == RECONNECTED:
            yield one.subject, since.pop(one.subject), one.asked_ms
    for what, begin in since.items():
        yield what, begin, _EVER

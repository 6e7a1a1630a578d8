"""Whether agents were shown as they were: G7, judged from what agents sent and what readers were shown.

Agents and readers note wall time of the machine on which the leader runs too. What a leader showed is compared with
what it can have heard: a beat counts from its answer, which is not before the leader read it, and a beat without an
answer for as long as a loaded machine may take to deliver it. So a check never blames a leader that was right.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.testing.history.checks import Check, Entry
from tercio_common.testing.history.recording import BEAT, CUT_OFF, RECONNECTED, SEEN, Observation

_DELIVERY_MS: Final = 3_000
"""A beat that was sent is read by a leader that runs, at the latest."""
_EVER: Final = 1 << 62
_SLEW_MS: Final = 250
"""Wall time in records may differ from the machine's by this much."""


class _Beat(NamedTuple):
    """`heard_by` is the latest time at which it was heard; `epoch` is NO_EPOCH when nobody knows by whom."""

    sent: int
    heard_by: int
    epoch: Epoch


class _Moments:
    """Wall time and epoch of each record."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[int, Epoch]] = {}

    def see(self, entry: Entry) -> None:
        self._of[entry.record.seq] = entry.record.wall_ms, entry.epoch

    def at(self, seq: int) -> tuple[int, Epoch]:
        return self._of.get(seq, (0, NO_EPOCH))


class HealthyHasRenewed:
    """G7: an agent that is shown HEALTHY has renewed with the present leader within its TTL."""

    promise = "G7"

    def __init__(self, *, ttl_ms: int) -> None:
        """Judge leases of that length."""
        self._ttl_ms = ttl_ms
        self._moments = _Moments()

    def see(self, entry: Entry) -> Iterable[str]:
        self._moments.see(entry)
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        beats = _beats(observations)
        leaders = _Leaders(beats)
        for one in observations:
            if one.kind != SEEN or one.state != "HEALTHY":
                continue
            if one.seq:
                begin, epoch = self._moments.at(one.seq)
                end = begin
            else:
                begin, end, epoch = one.asked_ms, one.answered_ms, leaders.at(one.asked_ms)
            if not self._is_covered(beats[one.subject], begin, end, epoch):
                yield (
                    f"agent {one.subject} is shown HEALTHY at {begin} under the leader of epoch {epoch}, with which it "
                    f"did not renew within {self._ttl_ms} ms; {_last(beats[one.subject], end)}"
                )

    def _is_covered(self, beats: Sequence[_Beat], begin: int, end: int, epoch: Epoch) -> bool:
        oldest = begin - self._ttl_ms - _SLEW_MS
        return any(
            beat.sent <= end + _SLEW_MS and beat.heard_by >= oldest and (beat.epoch == NO_EPOCH or beat.epoch >= epoch)
            for beat in beats
        )


class LiveNeverGone:
    """G7: an agent that went on beating, and was not cut off, is not declared gone.

    An agent that let two thirds of a TTL pass without a beat is not called live here: it may have been slow itself.
    """

    promise = "G7"

    def __init__(self, *, ttl_ms: int) -> None:
        """Judge leases of that length."""
        self._ttl_ms = ttl_ms
        self._moments = _Moments()

    def see(self, entry: Entry) -> Iterable[str]:
        self._moments.see(entry)
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        beats = _beats(observations)
        cuts = _cuts(observations)
        for one in observations:
            if one.kind != SEEN or one.state != "GONE" or not one.seq:
                continue
            when, epoch = self._moments.at(one.seq)
            begin = when - self._ttl_ms
            if self._went_on(beats[one.subject], begin, when) and not any(
                cut < when and back > begin for cut, back in cuts[one.subject]
            ):
                yield f"agent {one.subject} is declared gone at {when} under epoch {epoch}, but went on beating"

    def _went_on(self, beats: Sequence[_Beat], begin: int, end: int) -> bool:
        sent = [begin, *(beat.sent for beat in beats if begin < beat.sent < end), end]
        return all(later - earlier < self._ttl_ms * 2 // 3 for earlier, later in pairwise(sent))


def liveness_checks(*, ttl_ms: int) -> list[Check]:
    """Return the checks on agents whose leases have that length, in ms, with nothing seen yet."""
    return [HealthyHasRenewed(ttl_ms=ttl_ms), LiveNeverGone(ttl_ms=ttl_ms)]


class _Leaders:
    """Who led, as far as agents were told: from the first answer of a leader on, no earlier one shows anything."""

    def __init__(self, beats: dict[str, list[_Beat]]) -> None:
        answered = sorted((beat.heard_by, beat.epoch) for each in beats.values() for beat in each)
        self._times = [when for when, _ in answered]
        self._highest = list(accumulate((epoch for _, epoch in answered), max))

    def at(self, when: int) -> Epoch:
        place = bisect_right(self._times, when)
        return self._highest[place - 1] if place else NO_EPOCH


def _beats(observations: Sequence[Observation]) -> dict[str, list[_Beat]]:
    beats: dict[str, list[_Beat]] = defaultdict(list)
    for one in observations:
        if one.kind == BEAT:
            heard_by = one.answered_ms or one.asked_ms + _DELIVERY_MS
            beats[one.subject].append(_Beat(one.asked_ms, heard_by, Epoch(one.generation, one.revision)))
    return beats


def _cuts(observations: Sequence[Observation]) -> dict[str, list[tuple[int, int]]]:
    """Return from when to when each agent was cut off."""
    cuts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    since: dict[str, int] = {}
    for one in observations:
        if one.kind == CUT_OFF:
            since[one.subject] = one.asked_ms
        elif one.kind == RECONNECTED:
            cuts[one.subject].append((since.pop(one.subject), one.asked_ms))
    for agent_id, begin in since.items():
        cuts[agent_id].append((begin, _EVER))
    return cuts


def _last(beats: Sequence[_Beat], end: int) -> str:
    sent = [beat for beat in beats if beat.sent <= end]
    return f"its last beat was sent at {sent[-1].sent} to epoch {sent[-1].epoch}" if sent else "it never beat"

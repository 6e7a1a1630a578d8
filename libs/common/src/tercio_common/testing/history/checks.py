"""What a check is, and the checks that hold for the journal of any service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.records.v1 import record_pb2
from tercio_common.testing.history.facts import Fact
from tercio_common.testing.history.recording import Observation


class Entry(NamedTuple):
    """One record of the journal, its place, and what it says about tasks."""

    segment: int
    epoch: Epoch
    record: record_pb2.Record
    facts: Sequence[Fact]


class Check(Protocol):
    """One promise, judged in one pass. Every text that it gives is a violation."""

    promise: str
    """As in docs/guarantees.md."""

    def see(self, entry: Entry) -> Iterable[str]:
        """Look at the next record."""
        ...

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        """Look at what clients observed, after the last record."""
        ...


class EpochsNeverGoBack:
    """G3: after a leader's first record, no older leader has one."""

    promise = "G3"

    def __init__(self) -> None:
        self._highest, self._since = NO_EPOCH, 0

    def see(self, entry: Entry) -> Iterator[str]:
        if entry.epoch < self._highest:
            yield (
                f"record {entry.record.seq} is of epoch {entry.epoch}, but epoch {self._highest} leads since record "
                f"{self._since}: a stale leader committed"
            )
        elif entry.epoch > self._highest:
            self._highest, self._since = entry.epoch, entry.record.seq

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class SequenceIsDense:
    """G3: records are numbered 1, 2, 3 … without gap or repetition: nobody decided on a state that was not the last."""

    promise = "G3"

    def __init__(self) -> None:
        self._last = 0

    def see(self, entry: Entry) -> Iterator[str]:
        if entry.record.seq != self._last + 1:
            yield f"record {entry.record.seq} of epoch {entry.epoch} follows record {self._last}"
        self._last = entry.record.seq

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class TimeNeverGoesBack:
    """Fleet time rises with the records, over every take-over: all leases and timeouts are counted in it."""

    promise = "G3"

    def __init__(self) -> None:
        self._now = 0

    def see(self, entry: Entry) -> Iterator[str]:
        if entry.record.now_ms < self._now:
            yield f"record {entry.record.seq} is of fleet time {entry.record.now_ms}, after {self._now}"
        self._now = entry.record.now_ms

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class RequestsOnce:
    """G8: within its window, a request id of a caller is carried out at most once."""

    promise = "G8"

    def __init__(self, *, window_ms: int = 300_000) -> None:
        """Allow an id again once the window, in fleet time, is over."""
        self._window_ms = window_ms
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def see(self, entry: Entry) -> Iterator[str]:
        record = entry.record
        if not record.request_id:
            return
        key = record.principal, record.request_id
        seq, now = self._seen.get(key, (0, 0))
        if seq and record.now_ms < now + self._window_ms:
            yield f"request {record.request_id} of {record.principal} is record {seq} and again record {record.seq}"
        self._seen[key] = record.seq, record.now_ms

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class FramesOnce:
    """G8: frames of a session are recorded once each, in order, without a gap."""

    promise = "G8"

    def __init__(self, *, window_ms: int = 900_000) -> None:
        """Allow a session to begin anew once the window, in fleet time, is over."""
        self._window_ms = window_ms
        self._last: dict[str, tuple[int, int]] = {}

    def see(self, entry: Entry) -> Iterator[str]:
        record = entry.record
        if not record.session_id:
            return
        frame, now = self._last.get(record.session_id, (0, 0))
        forgotten = record.now_ms >= now + self._window_ms and record.frame_number == 1
        if record.frame_number != frame + 1 and not forgotten:
            yield (
                f"record {record.seq} holds frame {record.frame_number} of session {record.session_id}, "
                f"after frame {frame}"
            )
        self._last[record.session_id] = record.frame_number, record.now_ms

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()

"""A run on file: the commits of one journal in order, and what clients observed.

It promises that the commits are consecutive from the first one, or says that they are not: `load` then refuses. The
file is written as the run goes, so it survives the process that judges it.

Entries are framed as one letter, a length of four bytes and the data: `S` a segment (eight bytes of number, then its
value), `O` an observation as JSON, `G` a gap with its reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from tercio_common.errors import JournalGapError, TercioError
from tercio_common.journal.port import Journal, Segment

ACKNOWLEDGED = "acknowledged"
"""A client was told that the task is accepted."""
RESOLVED = "resolved"
"""A client was told the task's terminal state, in `state`."""
LISTED = "listed"
"""A listing at the end of the run showed the task, in `state`."""
WATCHED = "watched"
"""A watch that began at the first record showed the task as changed by record `seq`."""
BEAT = "beat"
"""An agent sent a heartbeat, or tried to, and was answered by the leader of `epoch`, or not at all."""
SEEN = "seen"
"""A reader was shown the agent in `state`: by a watch as of record `seq`, or by a read."""
HELD, RELEASED = "held", "released"
"""A client was told that it holds the allocation or claim, as the owner in `state`; that it has given it back."""
FENCED = "fenced"
"""A client was told that `seq` is the number of the token under which it holds something, as the owner in `state`."""
CUT_OFF, RECONNECTED = "cut off", "reconnected"
"""The network lets nothing of the agent, or of the service, through; lets it through again."""
DRIVEN = "driven"
"""The ground of a driver took a leader's wish that the pool has `seq` agents."""
TOLD_TO_END = "told to end"
"""The agent was told to end, by the ground of its driver."""
WORKED = "worked"
"""The agent had the task in `state` under way, from `asked_ms` to `answered_ms`."""

_SEGMENT, _OBSERVATION, _GAP = b"S", b"O", b"G"
_LENGTH_BYTES, _NUMBER_BYTES = 4, 8


class IncompleteRecordingError(TercioError):
    """Commits are missing, so nothing can be concluded."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a client saw.

    Attributes:
        kind: one of those above.
        subject: the task, the agent, the allocation, the claim, the pool, or the service.
        state: name of its state without prefix, of its owner, or of its task; empty where it means nothing.
        seq: record, number of the token, or number of agents, that was told; 0 where it means nothing.
        asked_ms: wall time at which the client asked, in ms since 1970; 0 where it means nothing.
        answered_ms: wall time at which it had the answer; 0 when there was none.
        generation, revision: epoch of the leader that answered; 0 where it means nothing or is unknown.
    """

    kind: str
    subject: str
    state: str = ""
    seq: int = 0
    asked_ms: int = 0
    answered_ms: int = 0
    generation: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """A complete recording; both in the order in which they came."""

    segments: tuple[Segment, ...]
    observations: tuple[Observation, ...]


class Recorder:
    """Writes one recording."""

    def __init__(self, journal: Journal, path: Path) -> None:
        """Record `journal` to `path`, which is replaced."""
        self._journal = journal
        self._file: BinaryIO = path.open("wb")
        self.last_segment = 0

    def observe(self, observation: Observation) -> None:
        """Add what a client saw."""
        self._write(_OBSERVATION, json.dumps(asdict(observation)).encode())

    async def run(self) -> None:
        """Follow the journal for ever; a gap is noted and ends it."""
        try:
            async for segment in self._journal.tail(self.last_segment):
                self._add(segment)
        except JournalGapError as error:
            self._write(_GAP, str(error).encode())

    async def catch_up(self) -> None:
        """Record what is committed by now and was not seen yet; `run` is not running."""
        try:
            while segments := await self._journal.read(self.last_segment):
                for segment in segments:
                    self._add(segment)
        except JournalGapError as error:
            self._write(_GAP, str(error).encode())

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _add(self, segment: Segment) -> None:
        if segment.number != self.last_segment + 1:
            self._write(_GAP, b"segment %d followed %d" % (segment.number, self.last_segment))
        self.last_segment = segment.number
        self._write(_SEGMENT, segment.number.to_bytes(_NUMBER_BYTES, "big") + segment.value)

    def _write(self, kind: bytes, data: bytes) -> None:
        self._file.write(kind + len(data).to_bytes(_LENGTH_BYTES, "big") + data)
        self._file.flush()


@contextlib.asynccontextmanager
async def recorded(journal: Journal, path: Path) -> AsyncIterator[Recorder]:
    """Record `journal` from its first commit while the context is open, and catch up at the end."""
    recorder = Recorder(journal, path)
    following = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        try:
            await recorder.catch_up()
        finally:
            recorder.close()


def load(path: Path) -> Recording:
    """Read a recording.

    Raises:
        IncompleteRecordingError: commits are missing, or the file is cut off.
    """
    segments: list[Segment] = []
    observations: list[Observation] = []
    for kind, data in _entries(path.read_bytes()):
        if kind == _GAP:
            raise IncompleteRecordingError(f"no verdict on {path.name}: {data.decode()}")
        if kind == _SEGMENT:
            number = int.from_bytes(data[:_NUMBER_BYTES], "big")
            segments.append(Segment(number, data[_NUMBER_BYTES:]))
        else:
            fields: Mapping[str, str | int] = json.loads(data)
            observations.append(Observation(**fields))  # type: ignore[arg-type]
    return Recording(tuple(segments), tuple(observations))


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(data):
        kind = data[position : position + 1]
        start = position + 1 + _LENGTH_BYTES
        position = start + int.from_bytes(data[position + 1 : start], "big")
        if position > len(data):
            raise IncompleteRecordingError("no verdict: the recording is cut off")
        yield kind, data[start:position]

"""A journal that fails when told to, for tests of whoever writes to one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from enum import Enum

from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError, NotProposedError, OutcomeUnknownError
from tercio_common.journal.port import Journal, Segment, SnapshotId, SnapshotPointer, Space


class _Fault(Enum):
    NOT_PROPOSED = "not proposed"
    UNKNOWN_BEFORE = "no answer, and not written"
    UNKNOWN_AFTER = "no answer, but written"
    UNKNOWN_LATER = "no answer, and written when `land` is called"


class FaultyJournal:
    """Any journal, with faults at its appends and slow reads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._faults: deque[_Fault] = deque()
        self._late: list[tuple[int, bytes, Epoch]] = []
        self._open = asyncio.Event()
        self._open.set()
        self._at_gate = 0
        self._read_delay_ms = 0
        self.appended: list[tuple[int, bytes]] = []
        """Every attempt to append, refused ones too."""

    def fail_not_proposed(self) -> None:
        """Fail one more append with `NotProposedError`."""
        self._faults.append(_Fault.NOT_PROPOSED)

    def fail_unknown_before(self) -> None:
        """Fail one more append with `OutcomeUnknownError`, without writing it."""
        self._faults.append(_Fault.UNKNOWN_BEFORE)

    def fail_unknown_after(self) -> None:
        """Fail one more append with `OutcomeUnknownError`, although it is written."""
        self._faults.append(_Fault.UNKNOWN_AFTER)

    def fail_unknown_later(self) -> None:
        """Fail one more append with `OutcomeUnknownError`; `land` sends it."""
        self._faults.append(_Fault.UNKNOWN_LATER)

    async def land(self) -> None:
        """Send every late append, as a network may that kept it."""
        late, self._late = self._late, []
        for number, value, epoch in late:
            try:
                await self._journal.append(number, value, epoch=epoch)
            except FencedError:
                continue

    def hold(self) -> None:
        """Keep appends at a gate from now on."""
        self._open.clear()

    def release(self) -> None:
        """Open the gate."""
        self._open.set()

    @property
    def holding(self) -> bool:
        """True while an append waits at the gate."""
        return self._at_gate > 0

    def delay_reads(self, duration_ms: int) -> None:
        """Make every read that much slower, in real time."""
        self._read_delay_ms = duration_ms

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        self.appended.append((number, value))
        self._at_gate += 1
        try:
            await self._open.wait()
        finally:
            self._at_gate -= 1
        fault = self._faults.popleft() if self._faults else None
        if fault is _Fault.NOT_PROPOSED:
            raise NotProposedError("refused by the test, and not written")
        if fault is _Fault.UNKNOWN_LATER:
            self._late.append((number, value, epoch))
        if fault is None or fault is _Fault.UNKNOWN_AFTER:
            await self._journal.append(number, value, epoch=epoch)
        if fault is not None:
            raise OutcomeUnknownError(f"made by the test: {fault.value}")

    async def read(self, after: int, *, fence: Epoch | None = None, max_bytes: int = 4 << 20) -> list[Segment]:
        await self._delay()
        return await self._journal.read(after, fence=fence, max_bytes=max_bytes)

    def tail(self, after: int) -> AsyncIterator[Segment]:
        return self._journal.tail(after)

    async def write_chunk(self, snapshot: SnapshotId, index: int, data: bytes, *, epoch: Epoch) -> None:
        await self._journal.write_chunk(snapshot, index, data, epoch=epoch)

    async def publish(self, pointer: SnapshotPointer, *, epoch: Epoch) -> None:
        await self._journal.publish(pointer, epoch=epoch)

    async def pointer(self, *, fence: Epoch | None = None) -> SnapshotPointer | None:
        await self._delay()
        return await self._journal.pointer(fence=fence)

    async def read_chunk(self, snapshot: SnapshotId, index: int) -> bytes | None:
        await self._delay()
        return await self._journal.read_chunk(snapshot, index)

    async def delete_orphans(self, *, epoch: Epoch) -> int:
        return await self._journal.delete_orphans(epoch=epoch)

    async def truncate(self, through: int, *, limit: int = 100) -> int:
        return await self._journal.truncate(through, limit=limit)

    async def space(self) -> Space:
        return await self._journal.space()

    async def compact(self) -> None:
        await self._journal.compact()

    async def reclaim(self) -> None:
        await self._journal.reclaim()

    async def write_audit(self, number: int, data: bytes, *, epoch: Epoch) -> None:
        await self._journal.write_audit(number, data, epoch=epoch)

    async def audit_range(self) -> tuple[int, int]:
        return await self._journal.audit_range()

    async def read_audit(self, after: int, *, limit: int = 10) -> list[tuple[int, bytes]]:
        await self._delay()
        return await self._journal.read_audit(after, limit=limit)

    async def trim_audit(self, through: int, *, epoch: Epoch) -> None:
        await self._journal.trim_audit(through, epoch=epoch)

    async def close(self) -> None:
        await self._journal.close()

    async def _delay(self) -> None:
        if self._read_delay_ms:
            await asyncio.sleep(self._read_delay_ms / 1000)

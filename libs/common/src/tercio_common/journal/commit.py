"""Group commit without a timer: one append in flight, and whatever arrived meanwhile goes into the next.

An append whose outcome is unknown is sent again, byte for byte, until there is a definite answer or the leadership
ends. Reading back instead would be unsound: that the segment is absent now does not prove that the write will not
land later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tercio_common.clock import Clock
from tercio_common.epochs import Epoch
from tercio_common.errors import LeadershipLostError, NotProposedError, OutcomeUnknownError
from tercio_common.journal.port import Journal
from tercio_common.machine.records import Encoded, join_segment

_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 5, 500


class Committer:
    """Writes records of one leadership to the journal, in order.

    Attributes:
        last_segment: number of the newest segment that was formed, committed or in flight.
        last_formed: sequence number of its last record.
        committed: sequence number of the last durable record.
        written_bytes: what was committed in this leadership.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        epoch: Epoch,
        clock: Clock,
        segment: int,
        seq: int,
        cap_bytes: int,
        lazy_ms: int,
        may_release: Callable[[], bool],
        on_commit: Callable[[int], None],
    ) -> None:
        """Go on after segment `segment`, whose last record is `seq`."""
        self._journal, self._epoch, self._clock = journal, epoch, clock
        self._cap_bytes, self._lazy_ms = cap_bytes, lazy_ms
        self._may_release, self._on_commit = may_release, on_commit
        self._pending: deque[Encoded] = deque()
        self._wake = asyncio.Event()
        self._wanted = seq  # the last record that does not wait for company
        self._lazy_timer: asyncio.TimerHandle | None = None
        self.last_segment = segment
        self.last_formed = self.committed = seq
        self.written_bytes = 0
        self.commits = 0

    @property
    def idle(self) -> bool:
        """True when every record that was added is durable."""
        return not self._pending and self.last_formed == self.committed

    def add(self, record: Encoded, *, lazy: bool) -> None:
        """Queue a record; a lazy one waits for company, but not longer than the lazy time."""
        self._pending.append(record)
        if not lazy:
            self.flush()
        elif self._lazy_timer is None:
            self._lazy_timer = asyncio.get_running_loop().call_later(self._lazy_ms / 1000, self._flush_late)

    def flush(self) -> None:
        """Commit lazy records now: somebody waits for them."""
        if self._pending:
            self._wanted = self._pending[-1].seq
            self._wake.set()

    async def run(self) -> None:
        """Commit for ever.

        Raises:
            FencedError: another leader exists.
            LeadershipLostError: the lease may have ended before the commit could be released.
        """
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._pending and self._pending[0].seq <= self._wanted:
                    await self._commit_batch()
        finally:
            self._stop_timer()

    async def _commit_batch(self) -> None:
        batch = self._take_batch()
        value = join_segment(batch)
        self.last_segment += 1
        self.last_formed = batch[-1].seq
        await self._append(self.last_segment, value)
        if not self._may_release():
            raise LeadershipLostError("the lease may have ended during the commit; nothing of it is released")
        self.committed = self.last_formed
        self.written_bytes += len(value)
        self.commits += 1
        self._on_commit(self.committed)

    def _take_batch(self) -> list[Encoded]:
        batch = [self._pending.popleft()]
        size = batch[0].size
        while self._pending and size + self._pending[0].size <= self._cap_bytes:
            batch.append(self._pending.popleft())
            size += batch[-1].size
        if not self._pending:
            self._stop_timer()
        return batch

    async def _append(self, number: int, value: bytes) -> None:
        pause = _FIRST_PAUSE_MS
        while True:
            try:
                return await self._journal.append(number, value, epoch=self._epoch)
            except (NotProposedError, OutcomeUnknownError):
                await self._clock.sleep_ms(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_MS)

    def _flush_late(self) -> None:
        self._lazy_timer = None
        self.flush()

    def _stop_timer(self) -> None:
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()
            self._lazy_timer = None

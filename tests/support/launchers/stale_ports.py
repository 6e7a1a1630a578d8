"""The three ports of a leader that does not notice that it lost the role.

Everything by which a leader steps down in time is taken away: its clock stands still while the process does, its
election never tells it, and its append waits until another leader has written. What is left is the fence.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from tercio_common.clock import Clock
from tercio_common.election.port import Election, Leader, Leadership
from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError, LeadershipLostError, OutcomeUnknownError, StoreUnavailableError
from tercio_common.etcd_client.requests import created_at, put_operation, transaction
from tercio_common.journal.etcd import EtcdJournal
from tercio_common.journal.port import Journal
from tercio_common.machine.records import moment_of, split_segment
from tercio_common.testing.faulty_journal import FaultyJournal

GATE_FOLDER = "TERCIO_TEST_GATE"
"""Environment variable: the folder through which the test and the gate talk."""
HOLD, HOLDING, OUTCOME = "hold", "holding", "outcome.json"
"""Files there: the test wants the next append held; one is held; what etcd said to it."""

_TICK_MS, _MOST_A_TICK_MS = 10, 50
_LOOK_S = 0.02


class CappedClock:
    """A clock that adds at most 50 ms for each tick of 10 ms, however long the process stood still."""

    def __init__(self, clock: Clock) -> None:
        """Follow `clock`; needs a running event loop."""
        self._clock = clock
        self._seen = self._boot = clock.boot_ms()
        self._wall_offset = clock.wall_ms() - self._boot
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def boot_ms(self) -> int:
        now = self._clock.boot_ms()
        self._boot += min(now - self._seen, _MOST_A_TICK_MS)
        self._seen = now
        return self._boot

    def wall_ms(self) -> int:
        return self.boot_ms() + self._wall_offset

    async def sleep_ms(self, duration: int) -> None:
        await self._clock.sleep_ms(duration)

    async def _tick(self) -> None:
        while True:
            self.boot_ms()
            await asyncio.sleep(_TICK_MS / 1000)


class DeafElection:
    """An election that never reports a loss."""

    def __init__(self, election: Election) -> None:
        self._election = election
        self.campaign = election.campaign
        self.resign = election.resign
        self.generation = election.generation
        self.raise_generation = election.raise_generation
        self.close = election.close

    async def renew(self, leadership: Leadership) -> None:
        try:
            await self._election.renew(leadership)
        except (LeadershipLostError, StoreUnavailableError):
            return

    async def observe(self) -> AsyncIterator[Leader | None]:
        async for leader in self._election.observe():
            yield leader


class GatedJournal(FaultyJournal):
    """Holds an append, when the test says so, until another leader has written, and then sends it at the free place.

    At the place that it was formed for, the other leader's segment would be in its way even without a fence; at the
    first free one, only the fence is.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._inner = journal
        self._folder = Path(os.environ[GATE_FOLDER])

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        if not (self._folder / HOLD).exists():
            return await self._inner.append(number, value, epoch=epoch)
        (self._folder / HOLDING).touch()
        refusals = 0
        while True:
            last = await self._last_of_another(number, epoch)
            try:
                await self._insist(last + 1, value, epoch)
            except FencedError as error:
                if await self._inner.read(last):
                    continue  # the place was taken meanwhile
                refusals += 1
                self._tell(refusals=refusals, message=str(error))
                raise
            self._tell(refusals=refusals, message="")
            return None

    async def _last_of_another(self, number: int, epoch: Epoch) -> int:
        """Wait until a leader with a higher epoch has written; return the number of the last segment."""
        while True:
            last, after = 0, number - 1
            while segments := await self._inner.read(after):
                after = segments[-1].number
                for record in (record for segment in segments for record in split_segment(segment.value)):
                    last = after if moment_of(record).epoch > epoch else last
            if last:
                return after
            await asyncio.sleep(_LOOK_S)

    async def _insist(self, number: int, value: bytes, epoch: Epoch) -> None:
        while True:
            try:
                return await self._inner.append(number, value, epoch=epoch)
            except OutcomeUnknownError:
                await asyncio.sleep(_LOOK_S)

    def _tell(self, *, refusals: int, message: str) -> None:
        partial = self._folder / f"{OUTCOME}.partial"
        partial.write_text(json.dumps({"refusals": refusals, "message": message}))
        partial.rename(self._folder / OUTCOME)


class UnfencedJournal(EtcdJournal):
    """A mutation: appends wherever there is room, whoever leads."""

    def __init__(self, journal: EtcdJournal) -> None:
        self._client, self._keys = journal._client, journal._keys

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        key = self._keys.segment(number)
        reply = await self._client.write(transaction([created_at(key, 0)], then=[put_operation(key, value)]))
        if not reply.succeeded:
            raise FencedError(f"segment {number} exists")

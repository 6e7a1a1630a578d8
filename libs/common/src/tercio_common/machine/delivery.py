"""Delivers what the outbox holds: one task for each kind, one batch of it under way at a time.

A kind goes to one peer, so one that is away holds up nobody else. A try that fails, or of which the peer took a part,
is followed by a wait that doubles up to half a minute. A batch of which nothing was taken is halved, because it may be
too large or hold one entry for which all of it is refused. What was not taken of the others lets the rest go first, so
that one entry that is refused for ever does not hold up its kind.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Final, TypeAlias

import structlog
from prometheus_client import Gauge

from tercio.rpc.backoff import Backoff
from tercio.rpc.errors import CallError
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.machine.outbox import AcknowledgeOutbox, Outbox, OutboxRow
from tercio_common.peers import note_refusal

Send: TypeAlias = Callable[[Sequence[OutboxRow]], Awaitable[Collection[str]]]
"""Sends a batch and returns the ids of the entries that the peer has; raises `CallError` when it has none."""

_LOOK_MS: Final = 1_000
_FIRST_WAIT_MS: Final = 50
_LONGEST_WAIT_MS: Final = 30_000
_PENDING = Gauge("tercio_outbox_pending", "Entries that a leader owes other services.", ("service", "kind"))
_OLDEST = Gauge("tercio_outbox_oldest_age_seconds", "Age of the oldest entry that is owed.", ("service", "kind"))
_log = structlog.get_logger(__name__)


class Delivery:
    """The effect that delivers one kind."""

    def __init__(
        self,
        kind: str,
        connect: Callable[[Host], AbstractAsyncContextManager[Send]],
        *,
        batch: int = 100,
        source: random.Random | None = None,
    ) -> None:
        """Deliver entries of `kind`, at most `batch` at once, over what `connect` gives for one leadership.

        `source` draws the waits.
        """
        self._kind, self._connect, self._batch = kind, connect, batch
        self._source = source or random.Random()
        self._wanted = asyncio.Event()

    def committed(self, _seq: int) -> None:
        """A commit has passed: what it caused may leave."""
        self._wanted.set()

    async def run(self, host: Host) -> None:
        """Deliver for as long as the leadership lasts."""
        outbox: Outbox = host.machine.outbox
        backoff = Backoff(initial_ms=_FIRST_WAIT_MS, maximum_ms=_LONGEST_WAIT_MS, source=self._source)
        passed: set[str] = set()
        most = self._batch
        async with self._connect(host) as send:
            while True:
                self._show(host, outbox)
                rows = list(islice(outbox.pending(self._kind, committed=host.committed_seq, passed=passed), most))
                if rows and host.may_release():
                    taken = await self._try(send, rows, host)
                    if len(taken) == len(rows):
                        most = min(2 * most, self._batch)
                        backoff.reset()
                        continue
                    if taken or len(rows) == 1:
                        passed.update(row.entry_id for row in rows if row.entry_id not in taken)
                    else:
                        most = len(rows) // 2
                    await host.clock.sleep_ms(backoff.next_ms())
                elif passed:
                    passed.clear()
                else:
                    await self._wait(host)

    async def _try(self, send: Send, rows: list[OutboxRow], host: Host) -> Collection[str]:
        try:
            taken = await send(rows)
        except CallError as error:
            _log.info("delivery_failed", kind=self._kind, entries=len(rows), error=str(error), effect="tries again")
            note_refusal(error, host=host)
            return ()
        try:
            if taken:
                host.propose(AcknowledgeOutbox(tuple(taken)), call=EFFECT, lazy=True)
        except Refusal:
            return ()  # the replica is stopping; the next leader sends it again
        return taken

    async def _wait(self, host: Host) -> None:
        """Wait for a commit, but look now and then: the lease may have been in doubt."""
        self._wanted.clear()
        waits = (asyncio.ensure_future(self._wanted.wait()), asyncio.ensure_future(host.clock.sleep_ms(_LOOK_MS)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _show(self, host: Host, outbox: Outbox) -> None:
        oldest = outbox.oldest(self._kind)
        age_ms = 0 if oldest is None else host.moment().now - oldest
        _PENDING.labels(host.name, self._kind).set(outbox.count(self._kind))
        _OLDEST.labels(host.name, self._kind).set(age_ms / 1000)

"""Has each pool's driver bring about what was decided, and sees what there is.

One task a pool, for as long as the leadership lasts: it makes the new leader's first write, looks whenever the driver
says that something changed, and writes only what a committed decision asks for and is not so yet. So a decision that
was carried out and not reported is found to be so by the next leader, and nothing is done twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Final

import structlog

from tercio.rpc.backoff import Backoff
from tercio_common.background import run_for_ever
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.waiting import set_within
from tercio_scaling.drivers import protocol
from tercio_scaling.drivers.catalogue import Drivers
from tercio_scaling.drivers.protocol import LEAVING, Driver, DriverError, Fenced, Refused, Unavailable, WriteConflict
from tercio_scaling.effects.observe import Observing
from tercio_scaling.state.commands import ReportScaling
from tercio_scaling.state.rows import EXTERNAL, PoolRow
from tercio_scaling.state.views import Target, targets

_FIRST_WAIT_MS: Final = 100
_LONGEST_WAIT_MS: Final = 30_000
_SILENT_TRIES: Final = 3
"""A driver that does not answer once or twice is busy; from then on it is worth telling."""
_log = structlog.get_logger(__name__)


class Reconciling:
    """The effect: the drivers of one replica, and what is driven while it leads."""

    def __init__(self, drivers: Drivers, observing: Observing, *, every_ms: int, check_ms: int) -> None:
        """Look at each pool every `every_ms`, and tell `observing` what there is.

        Every `check_ms` also who is there has to be right, not only what the driver was asked for.
        """
        self.drivers, self.observing = drivers, observing
        self.every_ms, self.check_ms = every_ms, check_ms
        self._pools: dict[str, _Pool] = {}
        self._wanted = asyncio.Event()

    def committed(self, _seq: int) -> None:
        """A commit has passed: there may be something to drive."""
        self._wanted.set()

    async def run(self, host: Host) -> None:
        """Drive every pool for as long as the leadership lasts."""
        term, tasks = host.term, dict[str, asyncio.Task[None]]()
        try:
            while True:
                self._wanted.clear()
                await self._keep_up(host, tasks)
                await self._wanted.wait()
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            self._pools.clear()
            if term.draining:  # the process stops; else another term of this replica may follow, and agents live on
                await self.drivers.close()

    async def _keep_up(self, host: Host, tasks: dict[str, asyncio.Task[None]]) -> None:
        """Have a task for each pool with a driver, and tell it what to do."""
        known, committed = {row.pool_id: row for row in host.machine.tables.pools.values()}, host.committed_seq
        # What is declared and not durable yet comes again with the commit that makes it so.
        rows = {row.pool_id: row for row in known.values() if row.driver != EXTERNAL and row.revision <= committed}
        for pool_id in list(tasks):
            moved = pool_id in rows and not self._pools[pool_id].is_at(rows[pool_id])
            if moved or pool_id not in known or known[pool_id].driver == EXTERNAL:
                del self._pools[pool_id]
                task = tasks.pop(pool_id)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        due = {target.pool_id: target for target in targets(host.machine.tables)}
        for pool_id, row in rows.items():
            if pool_id not in tasks:
                pool = self._pools[pool_id] = _Pool(host, row, self)
                tasks[pool_id] = asyncio.create_task(run_for_ever(f"pool {pool_id}", pool.run, clock=host.clock))
            self._pools[pool_id].take(due.get(pool_id))


class _Pool:
    """One pool in one place: with the same driver and the same text for it."""

    def __init__(self, host: Host, row: PoolRow, whole: Reconciling) -> None:
        self._host, self._row = host, row
        self._drivers, self._observing = whole.drivers, whole.observing
        self._every_ms, self._check_ms = whole.every_ms, whole.check_ms
        self._checked = host.clock.boot_ms()
        self._spec = json.loads(row.spec)
        self._target: Target | None = None
        self._wake = asyncio.Event()
        self._fenced = False
        self._silent = 0
        self._told: tuple[int, str] | None = None
        self._named: frozenset[str] = frozenset()

    def is_at(self, row: PoolRow) -> bool:
        """Tell whether the pool is still where it was."""
        return (row.driver, row.spec) == (self._row.driver, self._row.spec)

    def take(self, target: Target | None) -> None:
        """Take note of what is to be brought about, None when nothing is; one that is not durable comes again."""
        if target is not None and target.seq > self._host.committed_seq:
            return
        if target != self._target:
            self._target = target
            self._wake.set()

    async def run(self) -> None:
        """Look and drive, over and over."""
        backoff = Backoff(initial_ms=_FIRST_WAIT_MS, maximum_ms=_LONGEST_WAIT_MS)
        watching: asyncio.Task[None] | None = None
        try:
            while True:
                self._wake.clear()
                target = self._target
                try:
                    driver = self._drivers.get(self._row.driver)
                    if watching is None:
                        watching = asyncio.create_task(self._watch_endlessly(driver))
                    await self._drive(driver, target)
                except DriverError as error:
                    await self._fail(target, error, backoff)
                else:
                    self._silent = 0
                    backoff.reset()
                    self._report(target, "")
                    await set_within(self._wake, self._every_ms, clock=self._host.clock)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _drive(self, driver: Driver, target: Target | None) -> None:
        """Look, and write if what there is differs from what is to be."""
        if not self._fenced:
            await driver.fence(self._asked(0), self._host.epoch)
            self._fenced = True
        asked = self._host.clock.boot_ms()
        view = await driver.view(self._asked(0))
        self._observing.take_view(self._row.pool_id, view, asked=asked)
        if target is None or not self._host.may_release():
            return
        staying = [member for member in view.members if member.phase != LEAVING]
        there = {(member.agent_id, member.uid) for member in staying}
        victims = tuple([victim[0] for victim in target.victims if victim in there])
        # Whoever came since the decision was not chosen: the state, which will see it, chooses first.
        agents = max(target.agents, min(view.asked, len(staying) - len(victims)))
        # Whoever was named and stays after all must not be known as a victim when others leave.
        spared = self._named.intersection([member.agent_id for member in staying]).difference(victims)
        if view.asked == agents and not spared and not self._lacks(len(staying), agents):
            return
        asked = self._host.clock.boot_ms()
        view = await driver.scale(self._asked(agents, victims), self._host.epoch)
        self._named = frozenset(victims)
        self._observing.take_view(self._row.pool_id, view, asked=asked)
        _log.info("scaled", pool=self._row.pool_id, agents=agents, victims=victims)

    def _lacks(self, staying: int, agents: int) -> bool:
        """Tell whether it is time to mind who is there, and not as many are as were asked for."""
        if self._host.clock.boot_ms() < self._checked + self._check_ms:
            return False
        self._checked = self._host.clock.boot_ms()
        return staying != agents

    def _asked(self, agents: int, victims: tuple[str, ...] = ()) -> protocol.Target:
        return protocol.Target(self._row.pool_id, self._spec, agents, victims)

    async def _fail(self, target: Target | None, error: DriverError, backoff: Backoff) -> None:
        """Take note of what did not work, and wait until it may."""
        at_least_ms = 0
        if isinstance(error, Unavailable):
            at_least_ms = error.retry_after_ms
            self._silent += 1
            if self._silent >= _SILENT_TRIES:
                self._report(target, "Unavailable: the driver gets no answer, so nothing is changed")
        elif isinstance(error, Refused):
            self._report(target, f"{error.reason}: {error}")
        elif isinstance(error, Fenced):
            self._report(target, f"Fenced: {error}")
        wait_ms = backoff.next_ms(at_least_ms=at_least_ms)
        log = _log.debug if isinstance(error, WriteConflict) else _log.warning
        log("not_scaled", pool=self._row.pool_id, error=str(error), effect=f"tries again in {wait_ms} ms")
        await self._host.clock.sleep_ms(wait_ms)

    def _report(self, target: Target | None, failure: str) -> None:
        """Tell the state what came of driving, unless it knows."""
        if target is None or self._told == (target.seq, failure):
            return
        command = ReportScaling(pool_id=self._row.pool_id, seq=target.seq, failure=failure)
        with contextlib.suppress(Refusal):  # the replica is stopping, or the store is nearly full
            self._host.propose(command, call=EFFECT)
            self._told = (target.seq, failure)

    async def _watch_endlessly(self, driver: Driver) -> None:
        async def watch() -> None:
            async for _ in driver.changes(self._asked(0)):
                self._wake.set()

        await run_for_ever(f"watch of pool {self._row.pool_id}", watch, clock=self._host.clock)

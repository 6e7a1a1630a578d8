"""Runs git for the pools that keep worktrees: makes, cleans and removes them, on the machine of the leader.

What is due is read from the committed state, so a new leader goes on where the last one stopped. Two of them never work
on one repository at once: each step holds a lock of the operating system on a file in its common directory, which the
git commands inherit, and which so outlives a leader that is killed for as long as its last command runs; and a leader
looks again whether it still leads before each command. Worktrees of one repository are made one after the other in any
case, because git takes locks that fail.

Should the repository not be there, as on a machine that does not have it, what exists of the pool is left as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.waiting import set_within
from tercio_resources import metrics
from tercio_resources.effects.checkouts import Checkout, is_there
from tercio_resources.effects.git import Git, GitError
from tercio_resources.state import worktrees
from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.worktree_commands import DoubtWorktree, SettleWorktree, TendWorktrees
from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow, WorktreeState

_LOCK: Final = "tercio-worktrees.lock"
_LOOK_MS: Final = 1_000
"""Commits wake the effect; this is for what failed and is to be tried again."""
_LOCK_MS: Final = 50
_FIRST_PAUSE_MS: Final = 1_000
_LONGEST_PAUSE_MS: Final = 300_000
_VERIFY_MS: Final = 60_000
"""How often it is checked that what is ready is still clean: somebody may have deleted it."""
_log = structlog.get_logger(__name__)


class WorktreeKeeper:
    """The effect, and the way to wake it."""

    def __init__(self, *, timeout_ms: int) -> None:
        """Keep worktrees with git commands that may take that long each."""
        self._git = Git(timeout_ms=timeout_ms)
        self._wanted = asyncio.Event()

    def committed(self, _seq: int) -> None:
        """Something was committed: there may be something to do."""
        self._wanted.set()

    async def run(self, host: Host) -> None:
        """Keep the worktrees for as long as the leadership lasts."""
        term = _Term(host, self._git)
        try:
            while True:
                self._wanted.clear()
                await term.look()
                await set_within(self._wanted, _LOOK_MS, clock=host.clock)
        finally:
            await term.close()
            metrics.show_worktrees(())


class _Term:
    """One leadership's work."""

    def __init__(self, host: Host, git: Git) -> None:
        self._host, self._git = host, git
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[tuple[str, int], int] = {}
        self._verified: dict[str, int] = {}

    @property
    def _tables(self) -> ResourceTables:
        tables: ResourceTables = self._host.machine.tables
        return tables

    async def look(self) -> None:
        """Let there be as many as there should be, and start what is due in pools where nothing is under way."""
        tables, now = self._tables, self._host.moment().now
        metrics.show_worktrees(tables.worktrees.values())
        if not len(tables.worktree_pools):
            return
        with contextlib.suppress(Refusal):  # the store is nearly full: there will be no more of them for now
            self._host.propose(TendWorktrees(), call=EFFECT)
        due: dict[str, list[WorktreeRow]] = {}
        for row in worktrees.due(tables):
            if now >= self._not_before.get((row.pool_id, row.number), 0):
                due.setdefault(row.pool_id, []).append(row)
        pools = list(tables.worktree_pools.values())
        # What is not committed may never have been: then somebody still holds what would be cleaned here.
        await self._host.committed(self._host.tip_seq)
        self._not_before = {key: when for key, when in self._not_before.items() if key in tables.worktrees}
        for pool in pools:
            if (task := self._at_work.get(pool.pool_id)) is not None and task.done():
                del self._at_work[pool.pool_id]
                task.result()
            verify = now - self._verified.get(pool.pool_id, -_VERIFY_MS) >= _VERIFY_MS
            if pool.pool_id not in self._at_work and (verify or pool.pool_id in due):
                work = self._work(pool, due.get(pool.pool_id, ()), verify=verify)
                self._at_work[pool.pool_id] = asyncio.create_task(work)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._at_work.values():
            task.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    async def _work(self, pool: WorktreePoolRow, due: Iterable[WorktreeRow], *, verify: bool) -> None:
        """Do what is due in one pool, one after the other."""
        try:
            repository = await self._git.common_directory(pool.repository)
        except GitError as error:
            await self._leave(pool, due, str(error))
            return
        if verify:
            self._verified[pool.pool_id] = self._host.moment().now
            await self._verify(pool, repository)
        for row in due:
            if self._tables.worktrees.get((row.pool_id, row.number)) == row:
                await self._step(pool, row, repository)

    async def _step(self, pool: WorktreePoolRow, row: WorktreeRow, repository: Path) -> None:
        async with self._locked(repository) as lock:
            checkout = self._checkout(pool, row, repository, lock)
            try:
                await _STEPS[row.state](checkout, pool, row)
            except GitError as error:
                await self._settle(row, str(error))
                return
            await self._settle(row)
            checkout.made()

    async def _settle(self, row: WorktreeRow, message: str = "") -> None:
        metrics.WORKTREE_STEPS.labels(row.state.name.lower(), "failed" if message else "done").inc()
        if message:
            _log.warning("worktree_failed", worktree=f"{row.pool_id}-{row.number}", step=row.state.name, error=message)
            self._pause(row)
        command = SettleWorktree(row.pool_id, row.number, row.step, message)
        await self._host.committed(self._host.propose(command, call=EFFECT).seq)

    def _pause(self, row: WorktreeRow) -> None:
        """Let it rest, for longer each time; what could not be cleaned is removed at once."""
        if row.state is not WorktreeState.CLEANING:
            pause = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS << min(row.failures, 16))
            self._not_before[row.pool_id, row.number] = self._host.moment().now + pause

    async def _leave(self, pool: WorktreePoolRow, due: Iterable[WorktreeRow], error: str) -> None:
        """Say what cannot be made without a repository; nothing is known of the rest, and it stays."""
        _log.warning("repository_away", pool=pool.pool_id, error=error, effect="its worktrees stay as they are")
        self._verified[pool.pool_id] = self._host.moment().now
        for row in due:
            if row.state in {WorktreeState.PREPARING, WorktreeState.BROKEN}:
                await self._settle(row, error)
            elif row.state is WorktreeState.REMOVING and not is_there(pool.path(row.number)):
                await self._settle(row)
            else:
                self._not_before[row.pool_id, row.number] = self._host.moment().now + _VERIFY_MS

    async def _verify(self, pool: WorktreePoolRow, repository: Path) -> None:
        """Look at what is ready; whatever is not clean is cleaned before anybody gets it."""
        ready = [self._tables.worktrees[pool.pool_id, number] for number in self._ready(pool)]
        for row in ready:
            try:
                await self._checkout(pool, row, repository, None).check_clean()
            except GitError:
                self._host.propose(DoubtWorktree(row.pool_id, row.number, row.step), call=EFFECT)

    def _ready(self, pool: WorktreePoolRow) -> list[int]:
        return sorted(self._tables.worktree_index.ready(pool.pool_id))

    def _checkout(self, pool: WorktreePoolRow, row: WorktreeRow, repository: Path, lock: int | None) -> Checkout:
        path = Path(pool.path(row.number))
        return Checkout(self._git, repository=repository, path=path, check=self._check_leads, lock=lock)

    def _check_leads(self) -> None:
        if not self._host.may_release():
            raise Refusal("NO_LEADER", "this replica does not lead any more; another one goes on")

    @contextlib.asynccontextmanager
    async def _locked(self, repository: Path) -> AsyncIterator[int]:
        """Hold the lock on a repository; a former leader, or a command of it, may still have it."""
        descriptor = os.open(repository / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while not _lock(descriptor):
                await self._host.clock.sleep_ms(_LOCK_MS)
            yield descriptor
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _make(checkout: Checkout, pool: WorktreePoolRow, _row: WorktreeRow) -> None:
    await checkout.make(pool.ref)


async def _clean(checkout: Checkout, pool: WorktreePoolRow, _row: WorktreeRow) -> None:
    await checkout.clean(pool.ref)


async def _remove(checkout: Checkout, _pool: WorktreePoolRow, row: WorktreeRow) -> None:
    await checkout.remove(ours=row.made)


_STEPS: Final[dict[WorktreeState, Callable[[Checkout, WorktreePoolRow, WorktreeRow], Awaitable[None]]]] = {
    WorktreeState.PREPARING: _make,
    WorktreeState.BROKEN: _make,
    WorktreeState.CLEANING: _clean,
    WorktreeState.REMOVING: _remove,
}

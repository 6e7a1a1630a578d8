"""What a running attempt sees of its task."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from tercio.attempt_claims import AttemptClaim, environment_for
from tercio.attempts import Attempt, FencingToken
from tercio.counts import MOST_MEASURES
from tercio.payloads import MAX_BYTES, decode_json, encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence


_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST_VALUE: Final = 1e9


class AttemptReports(Protocol):
    """Where a running attempt's words go."""

    def progress(self, attempt: Attempt, percent: int) -> None:
        """Tell how far the attempt is; only the last word counts."""
        ...

    def checkpoint(self, attempt: Attempt, data: bytes) -> Awaitable[None]:
        """Keep data for the next attempt; the awaitable is done when it is durable."""
        ...


class _Facts:
    """What both kinds of context tell without waiting."""

    __slots__ = ("_attempt", "_reports")

    def __init__(self, attempt: Attempt, reports: AttemptReports) -> None:
        self._attempt = attempt
        self._reports = reports

    @property
    def task_id(self) -> str:
        """The task."""
        return self._attempt.task_id

    @property
    def task_type(self) -> str:
        """The task's type."""
        return self._attempt.task_type

    @property
    def payload(self) -> bytes:
        """What the submitter gave, at most 64 kB."""
        return self._attempt.payload

    def json(self) -> Any:
        """Return the payload read as JSON; None when it is empty. Raises ValueError when it is not JSON."""
        return decode_json(self._attempt.payload)

    def text(self) -> str:
        """Return the payload read as UTF-8."""
        return self._attempt.payload.decode()

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1; it rises with each attempt of the task."""
        return self._attempt.number

    @property
    def failures(self) -> int:
        """How many attempts failed before this one."""
        return self._attempt.failures

    @property
    def fencing_token(self) -> FencingToken:
        """Give it to whatever the task writes to, so that what an older attempt still writes can be refused."""
        epoch = self._attempt.epoch
        return FencingToken(epoch.generation, epoch.revision, self._attempt.number)

    def runs_in(self, session_id: int) -> None:
        """Say that a session of processes (`setsid`) runs the attempt: what they use is reported as its usage."""
        self._attempt.session_id = session_id

    @property
    def deadline(self) -> datetime | None:
        """When the task fails if it is not finished; None means never."""
        unix_ms = self._attempt.deadline_unix_ms
        return datetime.fromtimestamp(unix_ms / 1000, tz=UTC) if unix_ms else None

    @property
    def config(self) -> Mapping[str, Any]:
        """What the agent is configured with now; empty while it is not."""
        equipment = self._attempt.equipment
        return equipment.configuration.document if equipment is not None else {}

    async def _held_worktrees(self) -> list[Path]:
        equipment = self._attempt.equipment
        return await equipment.worktrees.of(self._attempt) if equipment is not None else []

    async def _held_claims(self) -> list[AttemptClaim]:
        equipment = self._attempt.equipment
        return await equipment.claims.of(self._attempt) if equipment is not None else []

    def environment_for(self, claims: Sequence[AttemptClaim]) -> dict[str, str]:
        """Return the variables that tell a program under which claims it runs; the git hook reads them."""
        return environment_for(self._attempt, claims)

    @property
    def last_checkpoint(self) -> bytes:
        """What an earlier attempt, or this one, kept last; empty when there is none."""
        return self._attempt.checkpoint

    @property
    def is_cancelled(self) -> bool:
        """True when the attempt was asked to stop: cancelled, timed out, or no longer this agent's."""
        return self._attempt.stop is not None

    def measure(self, name: str, value: float) -> None:
        """Tell something about this attempt that the fleet keeps an average of, by agent and type of task.

        By convention `quality_score` and `task_complexity` are 0 to 1, and `memory_latency_ms` is how long it took to
        integrate what the agent remembers. The last value of a name counts, once, when the attempt succeeds or fails.

        Args:
            name: 1 to 64 characters of [A-Za-z0-9._-]; at most 8 names an attempt, and the first 8 of a type count.
            value: 0 to 10^9.

        Raises:
            ValueError: name or value is out of bounds.
        """
        measures = self._attempt.measures or {}
        self._attempt.measures = {**measures, _checked_name(name, measures): _checked_value(value)}

    def raise_if_cancelled(self) -> None:
        """End the attempt here if it was asked to stop.

        Raises:
            asyncio.CancelledError: which the agent reports as a cancellation.
        """
        if self._attempt.stop is not None:
            raise asyncio.CancelledError(self._attempt.stop.value)


class Context(_Facts):
    """What an `async` handler is given. The attempt is cancelled as asyncio tasks are: at its next `await`."""

    __slots__ = ("_cancelled",)

    def __init__(self, attempt: Attempt, reports: AttemptReports) -> None:
        super().__init__(attempt, reports)
        self._cancelled: asyncio.Event | None = None

    @property
    def cancelled(self) -> asyncio.Event:
        """Set when the attempt is asked to stop."""
        if self._cancelled is None:
            self._cancelled = asyncio.Event()
            self.note_stop()
        return self._cancelled

    async def progress(self, percent: int) -> None:
        """Tell how far the attempt is, 0 to 100. It is shown, never stored."""
        self._reports.progress(self._attempt, _checked_percent(percent))

    async def worktrees(self) -> list[Path]:
        """Return the git worktrees that the attempt holds: as many as its task asks for as `git_worktrees`.

        Each is clean, and nobody else's while the attempt runs. There are none if the fleet only counts them, or if the
        attempt has lost what it held.

        Raises:
            CallError: the resources service does not answer.
        """
        return await self._held_worktrees()

    async def claims(self) -> list[AttemptClaim]:
        """Return what the attempt claims, as its task says; fewer if the attempt has lost some.

        Raises:
            CallError: the conflicts service does not answer.
        """
        return await self._held_claims()

    async def checkpoint(self, value: Any) -> None:
        """Keep a value, encoded as results are, for the next attempt; returns when it is durable.

        Raises:
            ValueError: it is over 64 kB.
        """
        await self._reports.checkpoint(self._attempt, _checked_size(encode(value)))

    def note_stop(self) -> None:
        """Set the event if the attempt was asked to stop. For the agent."""
        if self._cancelled is not None and self.is_cancelled:
            self._cancelled.set()


class BlockingContext(_Facts):
    """What a plain handler is given. Nobody can interrupt a thread, so the handler should look at `cancelled`."""

    __slots__ = ("_loop", "cancelled")

    def __init__(self, attempt: Attempt, reports: AttemptReports, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(attempt, reports)
        self._loop = loop
        self.cancelled = threading.Event()
        """Set when the attempt is asked to stop."""

    def progress(self, percent: int) -> None:
        """Tell how far the attempt is, 0 to 100. It is shown, never stored."""
        self._loop.call_soon_threadsafe(self._reports.progress, self._attempt, _checked_percent(percent))

    def worktrees(self) -> list[Path]:
        """Return the git worktrees that the attempt holds; see `Context.worktrees`."""
        return asyncio.run_coroutine_threadsafe(self._held_worktrees(), self._loop).result()

    def claims(self) -> list[AttemptClaim]:
        """Return what the attempt claims; see `Context.claims`."""
        return asyncio.run_coroutine_threadsafe(self._held_claims(), self._loop).result()

    def checkpoint(self, value: Any) -> None:
        """Keep a value, encoded as results are, for the next attempt; returns when it is durable.

        Raises:
            ValueError: it is over 64 kB.
        """
        data = _checked_size(encode(value))
        asyncio.run_coroutine_threadsafe(self._checkpoint(data), self._loop).result()

    async def _checkpoint(self, data: bytes) -> None:
        await self._reports.checkpoint(self._attempt, data)

    def note_stop(self) -> None:
        """Set the event if the attempt was asked to stop. For the agent."""
        if self.is_cancelled:
            self.cancelled.set()


def _checked_name(name: str, known: Mapping[str, float]) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of a measure is 1 to 64 characters of [A-Za-z0-9._-], not {name!r}")
    if name not in known and len(known) >= MOST_MEASURES:
        raise ValueError(f"an attempt has at most {MOST_MEASURES} measures: {', '.join(known)}")
    return name


def _checked_value(value: float) -> float:
    if not 0 <= value <= _MOST_VALUE:
        raise ValueError(f"a measure is from 0 to {_MOST_VALUE:.0e}, not {value}")
    return value


def _checked_percent(percent: int) -> int:
    if not 0 <= percent <= 100:
        raise ValueError(f"progress is a percentage from 0 to 100, not {percent}")
    return percent


def _checked_size(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"a checkpoint of {len(data)} bytes is over 64 kB: keep a reference to it instead")
    return data

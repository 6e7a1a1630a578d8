"""Runs one command for one attempt: what comes in on stdin, what counts as its outcome, how it is stopped.

It promises that when `run` returns or raises, the command and everything it started in its process group are gone; and
that the same holds when this process is killed, see `exec_guard`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_RESULT_BYTES = 64 * 1024
"""What a task's result may hold; a larger one is passed by reference."""

_TAIL_BYTES = 3 * 1024
"""Of stderr: an error's message holds 4096 characters, and the tail is where a program says what went wrong."""

_EOF_GRACE_S = 1.0
"""For a process that left the group and keeps the pipe open: the attempt has ended all the same."""

_GUARD = str(Path(__file__).with_name("exec_guard.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit status; 128 + n when signal n ended it.
        stdout: what it wrote, at most `MAX_RESULT_BYTES` + 1 bytes.
        stderr_tail: the last of its stderr.
    """

    code: int
    stdout: bytes
    stderr_tail: bytes

    @property
    def too_large(self) -> bool:
        """More was written than a result may hold."""
        return len(self.stdout) > MAX_RESULT_BYTES

    def message(self) -> str:
        """Say for people how it ended."""
        tail = self.stderr_tail.decode(errors="replace").strip() or self.stdout[-_TAIL_BYTES:].decode(errors="replace")
        ended = f"signal {self.code - 128}" if self.code > 128 else f"exit {self.code}"
        return f"{ended}: {tail.strip()}" if tail.strip() else ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run.

    Attributes:
        argv: program and arguments; no shell reads them.
        directory: where to run it; None is the agent's own.
        environment: added to the agent's own.
        kill_grace_s: from SIGTERM to SIGKILL when it is stopped.
    """

    argv: Sequence[str]
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    kill_grace_s: float = 5.0

    async def run(self, stdin: bytes, *, started: Callable[[int], None] = lambda _session: None) -> Ended:
        """Run it to its end; `started` is told the session of its processes. Cancelling this stops the command first.

        Raises:
            OSError: the directory does not exist or no process could be started.
        """
        ours, lifeline = lifeline_pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *guarded(self.argv, lifeline),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.directory,
                env={**os.environ, **self.environment},
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(lifeline)
        started(process.pid)
        return await self._supervise(process, stdin, ours)

    async def _supervise(self, process: asyncio.subprocess.Process, stdin: bytes, ours: int) -> Ended:
        if process.stdout is None or process.stderr is None:
            raise OSError("the command's output could not be read")
        feeding = asyncio.ensure_future(_feed(process, stdin))
        stdout, stderr = bytearray(), bytearray()
        reading = [
            asyncio.ensure_future(_head(process.stdout, stdout)),
            asyncio.ensure_future(_tail(process.stderr, stderr)),
        ]
        lifeline: list[int] = [ours]
        try:
            code = await self._wait(process, lifeline)
            await asyncio.wait(reading, timeout=_EOF_GRACE_S)
        finally:
            for task in (feeding, *reading):
                task.cancel()
            await asyncio.gather(feeding, *reading, return_exceptions=True)
            for descriptor in lifeline:
                os.close(descriptor)
        return Ended(code=code, stdout=bytes(stdout), stderr_tail=bytes(stderr))

    async def _wait(self, process: asyncio.subprocess.Process, lifeline: list[int]) -> int:
        try:
            return await process.wait()
        except asyncio.CancelledError:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), self.kill_grace_s)
            except TimeoutError:
                os.close(lifeline.pop())
                await process.wait()
            raise


def guarded(argv: Sequence[str], lifeline: int) -> tuple[str, ...]:
    """Return how to run a command so that it ends when the pipe breaks of which `lifeline` is the reading end."""
    return (sys.executable, "-I", "-S", _GUARD, str(lifeline), *argv)


def lifeline_pipe() -> tuple[int, int]:
    """Return the end that we keep and the end that the guard holds."""
    theirs, ours = os.pipe()
    return ours, theirs


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(data)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        process.stdin.close()


async def _head(stream: asyncio.StreamReader, kept: bytearray) -> None:
    """Read to the end, so that the command never blocks, and keep just enough to know that it was too much."""
    while chunk := await stream.read(65536):
        kept += chunk[: MAX_RESULT_BYTES + 1 - len(kept)]


async def _tail(stream: asyncio.StreamReader, kept: bytearray) -> None:
    while chunk := await stream.read(65536):
        kept += chunk
        del kept[:-_TAIL_BYTES]

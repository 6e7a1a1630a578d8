"""Runs one command in place of this one: on its terminal, with its signals, until it ends or must end.

It promises that when `run` returns the command is gone, and everything it started in its process group; and the same
when this process is killed, see `exec_guard`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tercio.cli.command import guarded, lifeline_pipe

_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Foreground:
    """The place of one command, which gets the signals that this process gets."""

    def __init__(self) -> None:
        """Describe a place without a command; use `taken`."""
        self._process: asyncio.subprocess.Process | None = None
        self._owner = asyncio.current_task()

    async def run(
        self, argv: Sequence[str], *, environment: Mapping[str, str], until: asyncio.Event, grace_s: Callable[[], float]
    ) -> int:
        """Run a command and return its exit status, 128 + n when signal n ended it.

        Args:
            argv: program and arguments; no shell reads them.
            environment: added to this process's own.
            until: when this is set, the command is stopped.
            grace_s: from SIGTERM to SIGKILL then, asked at that moment.
        """
        ours, lifeline = lifeline_pipe()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *guarded(argv, lifeline),
                env={**os.environ, **environment},
                pass_fds=(lifeline,),
                process_group=0,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(lifeline)
        self._owner = None  # from now on, what was held is given back whatever comes
        stopping = asyncio.ensure_future(_stop(process, until, grace_s, ours))
        try:
            return await process.wait()
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            self._process = None

    def receive(self, number: signal.Signals) -> None:
        """Pass a signal on; without a command it ends what this process does."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.send_signal(number)
        elif self._owner is not None:
            self._owner.cancel()


@asynccontextmanager
async def taken() -> AsyncIterator[Foreground]:
    """Take the signals of this process while the block runs."""
    loop, place = asyncio.get_running_loop(), Foreground()
    for number in _PASSED_ON:
        loop.add_signal_handler(number, place.receive, number)
    try:
        yield place
    finally:
        for number in _PASSED_ON:
            loop.remove_signal_handler(number)


async def _stop(
    process: asyncio.subprocess.Process, until: asyncio.Event, grace_s: Callable[[], float], ours: int
) -> None:
    """Stop the command when it must end; whatever happens, the lifeline is let go of."""
    try:
        await until.wait()
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(grace_s())
    finally:
        os.close(ours)

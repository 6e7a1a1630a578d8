"""A server that tells how long its event loop stood still, and when it took snapshots.

`python -m benchmarks.recovery.probed MODULE` runs the shipped server with a probe beside it, and writes what it saw to
the file that TERCIO_BENCH_PROBE names. With TERCIO_BENCH_SPEED the fleet's time runs that many times as fast as the
machine's; elections and calls to the store keep the machine's.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import time
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any, Final

from tercio_common.clock import Clock
from tercio_common.journal.snapshots import Snapshotter
from tercio_common.machine import host
from tercio_common.machine.term import Term

FILE: Final = "TERCIO_BENCH_PROBE"
SPEED: Final = "TERCIO_BENCH_SPEED"

_TURN_S: Final = 0.002
_TOLD_FROM_MS: Final = 20.0
_take = Snapshotter.take


class FastClock:
    """A clock that runs several times as fast as another one."""

    def __init__(self, clock: Clock, speed: int) -> None:
        """Begin at the present time of `clock`."""
        self._clock, self._speed = clock, speed
        self._boot, self._wall = clock.boot_ms(), clock.wall_ms()

    def boot_ms(self) -> int:
        """See `Clock`."""
        return self._boot + (self._clock.boot_ms() - self._boot) * self._speed

    def wall_ms(self) -> int:
        """See `Clock`."""
        return self._wall + self.boot_ms() - self._boot

    async def sleep_ms(self, duration: int) -> None:
        """See `Clock`."""
        await self._clock.sleep_ms(duration // self._speed)


class TimedSteps:
    """Awaits a coroutine, and times each step that it takes without letting anything else run."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        """Await `work`, once."""
        self._work = work
        self.longest_ms = self.longest_cpu_ms = 0.0

    def __await__(self) -> Generator[Any, Any, Any]:
        """Give what it awaits, and return what it returns."""
        while True:
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                awaited = self._work.send(None)
            except StopIteration as end:
                return end.value
            finally:
                self.longest_ms = max(self.longest_ms, (time.perf_counter() - began) * 1000)
                self.longest_cpu_ms = max(self.longest_cpu_ms, (time.thread_time() - cpu) * 1000)
            try:
                yield awaited
            except BaseException as error:
                self._work.throw(error)
                raise


class Probe:
    """Writes a line for each stall and each snapshot: what it was, when it ended, how long it took."""

    def __init__(self, path: Path) -> None:
        """Write to that file."""
        self._file = path.open("a", buffering=1)

    async def watch(self) -> None:
        """Look every 2 ms, for ever; a look that comes late tells how long the loop was busy or not run at all."""
        while True:
            began, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_TURN_S)
            late = (time.perf_counter() - began - _TURN_S) * 1000
            if late >= _TOLD_FROM_MS:
                self.tell("stall", late, cpu_ms=(time.thread_time() - cpu) * 1000)

    def tell(self, kind: str, milliseconds: float, **more: float) -> None:
        """Write one line."""
        self._file.write(json.dumps({"kind": kind, "at": time.time(), "ms": milliseconds, **more}) + "\n")


def main() -> None:
    """Run the server that the command line names; does not return."""
    probe = Probe(Path(os.environ[FILE]))
    speed = int(os.environ.get(SPEED, "1"))

    async def take(snapshotter: Snapshotter) -> Any:
        watching = asyncio.create_task(probe.watch())
        began = time.perf_counter()
        steps = TimedSteps(_take(snapshotter))
        try:
            return await steps
        finally:
            watching.cancel()
            taken = (time.perf_counter() - began) * 1000
            probe.tell("snapshot", taken, longest_step_ms=steps.longest_ms, longest_step_cpu_ms=steps.longest_cpu_ms)

    def term(*, clock: Clock, **others: Any) -> Any:
        return Term(clock=FastClock(clock, speed) if speed > 1 else clock, **others)

    replaced: Any = Snapshotter
    replaced.take = take
    replaced = host
    replaced.Term = term
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

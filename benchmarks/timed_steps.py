"""`python -m benchmarks.timed_steps MODULE`: a server with stopwatches that tell where milliseconds go.

It notes each commit of the journal, each pause of the event loop and each search for garbage that took over 1 ms,
and writes them to the file that TERCIO_BENCH_PROBE names. A pause that took hardly any processor time is one in which
the process was ready to run and something else ran.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any, Final

from tercio_common.journal.commit import Committer

FILE: Final = "TERCIO_BENCH_PROBE"
_TURN_S: Final = 0.001
_TOLD_FROM_MS: Final = 1.0
_append = Committer._append
_run = Committer.run


class Stopwatches:
    """Writes a line for each thing that took long."""

    def __init__(self, path: Path) -> None:
        """Write to that file."""
        self._file = path.open("a", buffering=1)
        self._search_began = 0.0

    def tell(self, kind: str, milliseconds: float, **more: float) -> None:
        """Write one line."""
        if milliseconds >= _TOLD_FROM_MS:
            self._file.write(json.dumps({"kind": kind, "at": time.time(), "ms": milliseconds, **more}) + "\n")

    async def watch_loop(self) -> None:
        """Look every millisecond, for ever; a late look tells how long the loop was busy or not run."""
        while True:
            began, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_TURN_S)
            late = (time.perf_counter() - began - _TURN_S) * 1000
            self.tell("pause", late, cpu_ms=(time.thread_time() - cpu) * 1000)

    def watch_garbage(self, phase: str, info: dict[str, int]) -> None:
        """See `gc.callbacks`."""
        if phase == "start":
            self._search_began = time.perf_counter()
        else:
            self.tell("search", (time.perf_counter() - self._search_began) * 1000, generation=info["generation"])


def main() -> None:
    """Run the server that the command line names; does not return."""
    watches = Stopwatches(Path(os.environ[FILE]))

    async def append(committer: Committer, number: int, value: bytes) -> None:
        began = time.perf_counter()
        await _append(committer, number, value)
        watches.tell("commit", (time.perf_counter() - began) * 1000, size=len(value))

    async def run(committer: Committer) -> None:
        watching = asyncio.ensure_future(watches.watch_loop())
        try:
            await _run(committer)
        finally:
            watching.cancel()

    watched: Any = Committer
    watched._append, watched.run = append, run
    gc.callbacks.append(watches.watch_garbage)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""Starts a registry that dies where it is told to, on a store that outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

TESTS = Path(__file__).resolve().parents[1]
STARTS_WITHIN_S = 120
"""See `tercio_common.testing.chaos.processes`."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@contextlib.asynccontextmanager
async def registry(
    folder: Path, *, crash_at: str = "", resources: str = "", settings: Mapping[str, str] = NOTHING
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run the launcher on the folder's store, with ledgers there or with a resources service; yield it and its port."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TERCIO_")}
    environment |= {
        "CRASH_AT": crash_at,
        "LEDGERS": "" if resources else str(folder),
        "TERCIO_RESOURCES_ADDRESS": resources,
        "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS))),
        "TERCIO_STORE__KIND": "sqlite",
        "TERCIO_STORE__PATH": str(folder / "store.sqlite"),
        "TERCIO_SERVER__PORT": "0",
        **settings,
    }
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.crashing_registry",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield running, await asyncio.wait_for(_port_of(running), STARTS_WITHIN_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.communicate()


async def _port_of(running: asyncio.subprocess.Process) -> int:
    """Return the port once the process leads."""
    assert running.stdout is not None
    seen, port = b"", 0
    async for line in running.stdout:
        seen += line
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            port = entry.get("port", port)
            if entry.get("event") == "leading":
                return int(port)
    raise AssertionError(f"the process ended before it led: {seen.decode()}")

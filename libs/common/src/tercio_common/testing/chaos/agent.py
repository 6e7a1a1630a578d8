"""An agent for chaos runs, as a process of its own: `python -m tercio_common.testing.chaos.agent`.

Its handlers do what the workload's payloads say: take time, fail once, fail always.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tercio import Agent, Context, HandlerError
from tercio_common.testing.chaos import workload

_CONCURRENCY: Final = 16


async def work(task: Context) -> bytes:
    """Take some milliseconds and give the payload back."""
    await asyncio.sleep(int(task.payload or b"1") / 1000)
    return task.payload


async def flaky(task: Context) -> None:
    """Fail at the first attempt."""
    if task.attempt == 1:
        raise HandlerError("the first attempt fails", reason="FLAKY")


async def poison(task: Context) -> None:
    """Fail at every attempt."""
    raise HandlerError(f"attempt {task.attempt} fails", reason="POISON")


def main() -> None:
    """Serve until killed."""
    agent = Agent(concurrency=_CONCURRENCY)
    agent.task(workload.WORK)(work)
    agent.task(workload.FLAKY)(flaky)
    agent.task(workload.POISON)(poison)
    agent.run_blocking()


if __name__ == "__main__":
    main()

"""The agents of the player: each has one slot, sleeps as long as it is told, and returns when it did."""

from __future__ import annotations

import argparse
import asyncio
import struct
import time
from typing import Final, NamedTuple

import uvloop

from benchmarks.workflows.plans import TASK_TYPE
from tercio import Agent, Context

_LAYOUT: Final = struct.Struct("<Iqq")


class Span(NamedTuple):
    """When a task ran and where; nanoseconds since 1970 on this machine's clock."""

    slot: int
    started_ns: int
    ended_ns: int

    def encoded(self) -> bytes:
        """Return it as a task's result."""
        return _LAYOUT.pack(*self)

    @classmethod
    def decoded(cls, result: bytes) -> Span:
        """Return what `encoded` gave."""
        return cls(*_LAYOUT.unpack(result))


def sleeping_agent(slot: int, *, address: str | None = None) -> Agent:
    """Return the agent of one slot."""
    agent = Agent(agent_id=f"slot-{slot}", concurrency=1, address=address)

    @agent.task(TASK_TYPE)
    async def sleep(task: Context) -> bytes:
        started_ns = time.time_ns()
        seconds = float(task.text())
        if seconds:
            await asyncio.sleep(seconds)
        return Span(slot, started_ns, time.time_ns()).encoded()

    return agent


async def _serve(count: int) -> None:
    await asyncio.gather(*(sleeping_agent(slot).run() for slot in range(count)))


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--concurrency", type=int, choices=[1], default=1)
    uvloop.run(_serve(parser.parse_args().agents))


if __name__ == "__main__":
    main()

"""The agents of the benchmark: several in one process, with a handler that does nothing."""

from __future__ import annotations

import argparse
import asyncio

import uvloop

from tercio import Agent, Context


async def _nothing(task: Context) -> None:
    """Return at once."""


async def _serve(count: int, concurrency: int) -> None:
    members = [Agent(agent_id=f"bench-{number}", concurrency=concurrency) for number in range(count)]
    for member in members:
        member.task("noop")(_nothing)
    await asyncio.gather(*(member.run() for member in members))


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.agents, arguments.concurrency))


if __name__ == "__main__":
    main()

"""An agent with a defect: with its first ticket it hangs. It beats, and renews what it holds, but hears nothing more.

So does a process whose worker hangs while another thread keeps its connections up.
"""

from __future__ import annotations

import asyncio
import json
import sys

import tercio.agent
from tercio import Agent
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import offers_of
from tercio.link import WorkLink
from tercio.system_tasks import is_system


class _DeafLink(WorkLink):
    """Works until it is offered its first ticket; then it holds what it has, and obeys nothing."""

    _hangs = False

    def _obey(self, response: work_pb2.WorkResponse) -> None:
        offers = offers_of(response.assignments, self._epoch)
        self._hangs = self._hangs or not all(is_system(each) for each in offers)
        if not self._hangs:
            super()._obey(response)
            return
        for attempt in offers:
            self._held[attempt.key] = attempt


async def _live(name: str, address: str, capabilities: dict[str, int]) -> None:
    agent = Agent(agent_id=name, address=address, capabilities=capabilities)
    agent.task("*")(print)
    running = asyncio.create_task(agent.run())
    await agent.ready()
    print(json.dumps({"event": "connected"}), file=sys.stderr, flush=True)
    await running


if __name__ == "__main__":
    tercio.agent.WorkLink = _DeafLink  # type: ignore[attr-defined]
    asyncio.run(_live(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))

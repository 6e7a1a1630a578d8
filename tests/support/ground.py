"""A ground for pools of agents that outlive the service: a driver's cluster in the test's process, over TCP.

It is to the driver in `ground_driver.py` what an API server is to that of Kubernetes: it holds how many agents are
asked for, refuses a leader that was replaced, starts agents and tells them to end. Agents are the SDK's own; they then
drain, as they do upon SIGTERM. Everything that a promise is judged by is noted when it happens.

Requests and answers are lines of JSON. A test reaches it through a proxy, so that it can be away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from tercio import Agent, Context
from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.testing.history import DRIVEN, TOLD_TO_END, WORKED, Observation

GROUND: Final = "TERCIO_TEST_GROUND"
"""Environment variable: where the ground is, `host:port`."""
TASK_TYPE: Final = "work"


@dataclass(slots=True, eq=False)
class _Member:
    agent: Agent
    running: asyncio.Task[None]
    since_ms: int
    leaving: bool = False


class Ground:
    """Agents of one pool."""

    def __init__(self, observe: Callable[[Observation], None]) -> None:
        """Have agents of the fleet that the environment names; what happens goes to `observe`."""
        self._observe = observe
        self._members: dict[str, _Member] = {}
        self._epoch = NO_EPOCH
        self._made = 0
        self.asked = 0
        self.refused: list[Epoch] = []
        """Epochs of leaders whose writes were refused."""
        self._gate = asyncio.Event()
        self._gate.set()
        self.holding = asyncio.Event()
        """Set once a write is held."""
        self.held_answered = False
        """What was held is carried out, or refused."""
        self.working = 0
        """Tasks under way."""

    @property
    def staying(self) -> int:
        """How many agents nobody told to end."""
        return sum(not member.leaving for member in self._members.values())

    @property
    def all_gone(self) -> bool:
        """True when whoever was told to end has done so."""
        return self.staying == len(self._members)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                request = json.loads(line)
                held = request["agents"] is not None and not (self._gate.is_set() or self.holding.is_set())
                if held:
                    self.holding.set()
                    await self._gate.wait()
                answer = self._answer(request)
                self.held_answered |= held
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    def hold_next_write(self) -> None:
        """Let the next write wait until `let_through`; what comes after it does not."""
        self.holding.clear()
        self._gate.clear()

    def let_through(self) -> None:
        """Carry out what is held."""
        self._gate.set()

    async def close(self) -> None:
        """End every agent."""
        running = [member.running for member in self._members.values()]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["epoch"] is not None:
            epoch = Epoch(*request["epoch"])
            if epoch < self._epoch and request["fenced"]:
                self.refused.append(epoch)
                return {"fenced": str(self._epoch)}
            self._epoch = max(epoch, self._epoch)
            if request["agents"] is not None:
                self._scale(request["pool"], request["agents"], request["victims"], epoch)
        self._bury()
        members = [
            [name, "leaving" if each.leaving else "running", each.since_ms, name]
            for name, each in sorted(self._members.items())
        ]
        return {"asked": self.asked, "members": members}

    def _scale(self, pool_id: str, agents: int, victims: list[str], epoch: Epoch) -> None:
        self._observe(Observation(DRIVEN, pool_id, "", agents, _wall_ms(), 0, epoch.generation, epoch.revision))
        self.asked = agents
        staying = [name for name, member in self._members.items() if not member.leaving]
        youngest = [name for name in reversed(staying) if name not in victims]
        for name in [*(each for each in victims if each in staying), *youngest][: max(0, len(staying) - agents)]:
            self._end(name)
        for _ in range(agents - len(staying)):
            self._start(pool_id)

    def _start(self, pool_id: str) -> None:
        self._made += 1
        name = f"{pool_id}-{self._made}"
        agent = Agent(agent_id=name, pool=pool_id)
        agent.task(TASK_TYPE)(self._work_of(name))
        self._members[name] = _Member(agent, asyncio.create_task(agent.run()), _wall_ms())

    def _end(self, name: str) -> None:
        member = self._members[name]
        member.leaving = True
        self._observe(Observation(TOLD_TO_END, name, asked_ms=_wall_ms()))
        member.agent.drain()

    def _bury(self) -> None:
        """Forget who has ended."""
        for name, member in list(self._members.items()):
            if member.running.done():
                del self._members[name]

    def _work_of(self, name: str) -> Callable[[Context], Any]:
        async def work(task: Context) -> bytes:
            began = _wall_ms()
            self.working += 1
            try:
                await asyncio.sleep(int(task.payload) / 1000)
            finally:
                self.working -= 1
                self._observe(Observation(WORKED, name, task.task_id, asked_ms=began, answered_ms=_wall_ms()))
            return b"done"

        return work


@contextlib.asynccontextmanager
async def ground(observe: Callable[[Observation], None]) -> AsyncIterator[tuple[Ground, str]]:
    """Yield a ground and where it is reached; at the end all of its agents are gone."""
    made = Ground(observe)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield made, f"{host}:{port}"
    finally:
        server.close()
        await made.close()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000

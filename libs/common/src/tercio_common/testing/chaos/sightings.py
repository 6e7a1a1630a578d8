"""What readers are shown of agents: a watch that resumes whatever happens to its stream, and reads all the time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio_common.ids import decode_cursor
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import SEEN, Observation

_CURSOR: Final = "agents"
"""The kind of cursor that a watch of agents gives."""
_BEGIN_TIMEOUT_S: Final = 10.0
_PAUSE_S: Final = 0.1
_CALL_TIMEOUT_S: Final = 1.0
_RESUMABLE: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
_STATES: Final = [state for state in agent_pb2.Agent.State.values() if state]


class Sightings:
    """Watches and reads through one replica after the other."""

    def __init__(self, addresses: Sequence[str], observe: Callable[[Observation], None]) -> None:
        """Look at `addresses`; everything that is shown goes to `observe`."""
        self._addresses = tuple(addresses)
        self._observe = observe
        self._cursor = ""
        self.state: dict[str, str] = {}
        """Of each agent, as a read showed it last."""
        self.shown: Counter[str] = Counter()
        """How often agents were shown in each state."""
        self._read_seq = self._watched_seq = 0

    async def begin(self) -> None:
        """Take the cursor of an empty listing, so that everything is after it."""
        async with grpc.aio.insecure_channel(self._addresses[0]) as channel:
            stub: Any = RegistryServiceStub(channel)
            reply = await stub.ListAgents(pb.ListAgentsRequest(), timeout=_BEGIN_TIMEOUT_S, wait_for_ready=True)
        self._cursor = reply.cursor

    async def run(self) -> None:
        """Watch and read for ever.

        Raises:
            AioRpcError: the watch was refused for good.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_endlessly())
            group.create_task(self._read_endlessly())

    async def caught_up(self, *, within_ms: int) -> None:
        """Wait until the watch has shown everything that reads have shown; a bookmark comes every 10 s.

        Raises:
            AssertionError: it has not.
        """
        read = self._read_seq
        await eventually(lambda: self._watched_seq >= read, within_ms=within_ms)

    async def _watch_endlessly(self) -> None:
        for address in itertools.cycle(self._addresses):
            async with grpc.aio.insecure_channel(address) as channel:
                await self._watch(RegistryServiceStub(channel))
            await asyncio.sleep(_PAUSE_S)

    async def _watch(self, stub: Any) -> None:
        request = pb.WatchAgentsRequest(cursor=self._cursor, filter=pb.AgentFilter(states=_STATES))
        call = stub.WatchAgents(request)
        try:
            async for response in call:
                if response.HasField("agent"):
                    self._note(response.agent, seq=_seq(response.cursor))
                self._cursor = response.cursor
                self._watched_seq = _complete_seq(response.cursor)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _RESUMABLE:
                raise
        finally:
            call.cancel()

    async def _read_endlessly(self) -> None:
        for address in itertools.cycle(self._addresses):
            async with grpc.aio.insecure_channel(address) as channel:
                await self._read(RegistryServiceStub(channel))
            await asyncio.sleep(_PAUSE_S)

    async def _read(self, stub: Any) -> None:
        """Read every agent; without an answer nothing was shown."""
        request = pb.ListAgentsRequest(filter=pb.AgentFilter(states=_STATES))
        asked = _wall_ms()
        try:
            reply = await stub.ListAgents(request, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return
        for agent in reply.agents:
            self._note(agent, asked=asked)
            self.state[agent.agent_id] = _name(agent.state)
        self._read_seq = _complete_seq(reply.cursor)

    def _note(self, agent: agent_pb2.Agent, *, seq: int = 0, asked: int = 0) -> None:
        state = _name(agent.state)
        self.shown[state] += 1
        self._observe(Observation(SEEN, agent.agent_id, state, seq, asked, _wall_ms()))


def _name(state: agent_pb2.Agent.State.ValueType) -> str:
    return agent_pb2.Agent.State.Name(state).removeprefix("STATE_")


def _seq(cursor: str) -> int:
    """Return the number of the record that was shown."""
    seq, offset = _position(cursor)
    # In the middle of a record the cursor names the one before it.
    return seq + (1 if offset else 0)


def _complete_seq(cursor: str) -> int:
    """Return the number of the last record that was shown as a whole."""
    return _position(cursor)[0]


def _position(cursor: str) -> tuple[int, int]:
    """Read what stands in a cursor, which no client may do."""
    _, position = decode_cursor(_CURSOR, cursor)
    seq, offset = position.split(".")
    return int(seq), int(offset)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000

"""Agents that only beat, in this process, so that every beat that they send is noted when it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import grpc

from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.rpc.channels import FOLLOW_LEADER
from tercio_common.testing.history import BEAT, Observation

_PAUSE_S: Final = 0.05
_CALL_TIMEOUT_S: Final = 2.0


class BeatingAgent:
    """One agent, which is told one address after the other until a leader answers, as the SDK's agents are."""

    def __init__(
        self, agent_id: str, addresses: Sequence[str], observe: Callable[[Observation], None], *, interval_ms: int
    ) -> None:
        """Beat at `addresses` each interval; every beat goes to `observe`."""
        self.agent_id = agent_id
        self._addresses = tuple(addresses)
        self._observe = observe
        self._interval_s = interval_ms / 1000
        self._secret, self._instance = os.urandom(16), os.urandom(16)
        self._incarnation = 0
        self.beats = 0
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    def pause(self) -> None:
        """Stop in its tracks: the stream stays open and nothing is sent."""
        self._goes_on.clear()

    def resume(self) -> None:
        """Go on."""
        self._goes_on.set()

    async def run(self) -> None:
        """Register and beat for ever."""
        for address in itertools.cycle(self._addresses):
            async with grpc.aio.insecure_channel(address) as channel:
                with contextlib.suppress(grpc.aio.AioRpcError, TimeoutError, asyncio.InvalidStateError):
                    await self._stay(RegistryServiceStub(channel))
            await asyncio.sleep(_PAUSE_S)

    async def _stay(self, stub: Any) -> None:
        if not self._incarnation:
            await self._register(stub)
        call = stub.Heartbeat(metadata=FOLLOW_LEADER)
        try:
            await self._beat(call)
        finally:
            call.cancel()

    async def _register(self, stub: Any) -> None:
        request = pb.RegisterAgentRequest(
            agent_id=self.agent_id,
            identity_secret=self._secret,
            instance_id=self._instance,
            request_id=os.urandom(16).hex(),
        )
        await self._goes_on.wait()
        sent = _wall_ms()
        try:
            reply = await stub.RegisterAgent(request, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            self._note(sent)
            raise
        self._incarnation = reply.agent.incarnation
        self._note(sent, answered=True, epoch=reply.agent.confirmed_epoch)

    async def _beat(self, call: Any) -> None:
        """Beat over one stream until it ends, stays silent for an interval, or asks for a new registration."""
        beat = pb.HeartbeatRequest.Beat(agent_id=self.agent_id, incarnation=self._incarnation)
        epoch = None  # of the term that the stream is bound to
        while self._incarnation:
            await self._goes_on.wait()
            sent = _wall_ms()
            try:
                await call.write(pb.HeartbeatRequest(beats=[beat]))
                async with asyncio.timeout(self._interval_s):
                    response = await call.read()
                if not isinstance(response, pb.HeartbeatResponse):
                    raise TimeoutError
            except BaseException:
                self._note(sent, epoch=epoch)
                raise
            epoch = response.epoch
            renewed = not any(answer.reason for answer in response.answers)
            self._note(sent, answered=True, epoch=epoch)
            if not renewed:
                self._incarnation = 0
            await asyncio.sleep(self._interval_s * 0.9 - (_wall_ms() - sent) / 1000)

    def _note(self, sent: int, *, answered: bool = False, epoch: Any = None) -> None:
        self.beats += 1
        self._observe(
            Observation(
                BEAT,
                self.agent_id,
                asked_ms=sent,
                answered_ms=_wall_ms() if answered else 0,
                generation=epoch.generation if epoch else 0,
                revision=epoch.revision if epoch else 0,
            )
        )


@contextlib.asynccontextmanager
async def beating(agents: Sequence[BeatingAgent]) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """Let the agents beat while the context is open; yield each one's task, which may be cancelled to kill it."""
    running = {agent.agent_id: asyncio.create_task(agent.run()) for agent in agents}
    try:
        yield running
    finally:
        for one in running.values():
            one.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000

"""The local agents of `tercio dev`: an agent pool, which the scaling service keeps as processes of its own."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from tercio.addresses import service_addresses
from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.requests import new_request_id
from tercio.rpc.channels import Channels, Route
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote

if TYPE_CHECKING:
    from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceAsyncStub

POOL: Final = "dev"
_CAPABILITIES: Final = {"python": 50, "shell": 50}
_CALM: Final = 30_000
"""For how long a pool that may grow keeps agents that it does not need, in ms: somebody is trying things."""
_GRACE_S: Final = 5.0
"""For what local agents run when the fleet stops."""
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class LocalAgents:
    """How many there are: always `least`, and while much waits up to `more`; 0 is as many as there always are."""

    least: int
    more: int = 0

    @property
    def most(self) -> int:
        """How many there are at most; 0 is no pool at all."""
        return max(self.least, self.more)

    def __str__(self) -> str:
        """Say it for people."""
        return str(self.least) if self.most == self.least else f"{self.least} to {self.most}"

    def pool(self) -> agent_pool_pb2.AgentPool:
        """Return the pool as it is declared; its agents are told by the service where the fleet is."""
        pool = agent_pool_pb2.AgentPool(
            pool_id=POOL, capabilities=_CAPABILITIES, min_agents=self.least, max_agents=self.most, up_step=self.most
        )
        for duration in (pool.cooldown, pool.window, pool.sustained):
            duration.FromMilliseconds(_CALM)
        options = [word for name, level in _CAPABILITIES.items() for word in ("--capability", f"{name}={level}")]
        pool.local.command.extend((sys.executable, "-m", "tercio.cli", "agent", "exec", "--allow-commands", *options))
        return pool

    async def run(self, address: str, *, until: asyncio.Task[bool]) -> None:
        """Have the agents until the task ends, and then let them leave; a pool of an earlier start is replaced."""
        channels = Channels()
        try:
            remote = Remote(Route(channels, service_addresses("scaling", address=address)), ScalingServiceStub)
            if self.most:
                await _apply(remote, self.pool())
            else:
                await _delete(remote)
            await until
            if self.most:
                await _delete(remote)
                await _gone(remote)
        finally:
            await channels.close()


async def _apply(remote: Remote[ScalingServiceAsyncStub], pool: agent_pool_pb2.AgentPool) -> None:
    try:
        await remote.unary(lambda stub: stub.ApplyPool, pb.ApplyPoolRequest(request_id=new_request_id(), pool=pool))
    except CallError as error:
        typer.echo(f"no local agents: {error}", err=True)


async def _delete(remote: Remote[ScalingServiceAsyncStub]) -> None:
    request = pb.DeletePoolRequest(request_id=new_request_id(), pool_id=POOL)
    try:
        await remote.unary(lambda stub: stub.DeletePool, request, timeout_s=_GRACE_S)
    except CallError as error:
        if error.reason != "POOL_NOT_FOUND":
            typer.echo(f"local agents are not told to leave: {error}", err=True)


async def _gone(remote: Remote[ScalingServiceAsyncStub]) -> None:
    """Wait until the agents have left, but not for what runs for long: that ends with the services."""
    try:
        async with asyncio.timeout(_GRACE_S):
            while True:
                await remote.unary(lambda stub: stub.GetPool, pb.GetPoolRequest(pool_id=POOL))
                await asyncio.sleep(_POLL_S)
    except (CallError, TimeoutError):
        return

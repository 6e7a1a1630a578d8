"""Gives an agent a configuration with which nothing works, and follows how the registry takes it back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.tickets.fleet import Fleet, FleetError, now_ms
from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1.agent_config_pb2 import ConfigRevision
from tercio.cli import connect
from tercio.cli.connect import CALL_TIMEOUT_S
from tercio.errors import TaskError
from tercio.requests import new_request_id
from tercio.templates import RetryPolicy

if TYPE_CHECKING:
    from tercio.client import Client

GOOD = {"command": ["git", "--version"]}
BAD = {"command": ["gti", "--version"]}
"""It is well-formed, so the agent takes it."""
_OBSERVED_S = 600
"""Longer than the demo may take: what is given up is given up sooner, and nothing bad becomes active on the way."""
_OPEN = frozenset({ConfigRevision.STATE_PENDING, ConfigRevision.STATE_APPLYING})
_POLL_S = 0.1
_ONCE = RetryPolicy(max_attempts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """What became of the bad configuration.

    Attributes:
        agent: who was given it.
        revision: its number.
        why: what the registry found.
        given_up_after_ms: from its being sent until the registry gave it up.
        works_after_ms: from its being sent until the agent's work succeeded again.
    """

    agent: str
    revision: int
    why: str
    given_up_after_ms: int
    works_after_ms: int

    def __str__(self) -> str:
        """Tell it in one line."""
        given_up_s, works_s = self.given_up_after_ms / 1000, self.works_after_ms / 1000
        return (
            f"revision {self.revision} of {self.agent}'s configuration, after {given_up_s:.1f} s: {self.why}; "
            f"it worked again after {works_s:.1f} s"
        )


async def regress(fleet: Fleet, *, say: Callable[[str], None]) -> Regression:
    """Wait until the agent works as before the bad configuration."""
    name = fleet.prober.member.name
    await fleet.prober.connected.wait()
    async with connect.fleet(fleet.address) as services:
        good = await _update(services, name, GOOD, observe_s=0)
        await _end(services, good)
        await _healthy(services.client, name)
        bad = await _update(services, name, BAD, observe_s=_OBSERVED_S)
        sent = now_ms()
        say(f"*** {name} is given revision {bad.revision} of its configuration, with which nothing works")
        probing = asyncio.create_task(_probe_on(services.client, name))
        try:
            ended = await _end(services, bad)
        finally:
            probing.cancel()
        if ended.state != ConfigRevision.STATE_ROLLED_BACK:
            raise FleetError(f"the bad configuration ended {ConfigRevision.State.Name(ended.state)}: {ended.message}")
        given_up = now_ms()
        await _works(services.client, name)
    regression = Regression(
        agent=name,
        revision=bad.revision,
        why=ended.message,
        given_up_after_ms=given_up - sent,
        works_after_ms=now_ms() - sent,
    )
    say(f"*** rolled back by itself: {regression}")
    return regression


async def _update(services: connect.Fleet, name: str, document: object, *, observe_s: int) -> ConfigRevision:
    request = pb.UpdateConfigRequest(request_id=new_request_id(), agent_id=name, document=json.dumps(document))
    request.observe_duration.FromSeconds(observe_s)
    answer = await services.configs.unary(lambda stub: stub.UpdateConfig, request, timeout_s=CALL_TIMEOUT_S)
    return answer.revision


async def _end(services: connect.Fleet, revision: ConfigRevision) -> ConfigRevision:
    """Wait until it is known what becomes of a revision."""
    request = pb.GetConfigRequest(agent_id=revision.agent_id, revision=revision.revision)
    while True:
        answer = await services.configs.unary(lambda stub: stub.GetConfig, request, timeout_s=CALL_TIMEOUT_S)
        if answer.revision.state not in _OPEN:
            return answer.revision
        await asyncio.sleep(_POLL_S)


async def _healthy(client: Client, name: str) -> None:
    """Wait until the agent works and is well: one that ails already could not get worse."""
    while True:
        await _works(client, name)
        if (await client.get_agent(name)).state == agent_pb2.Agent.STATE_HEALTHY:
            return
        await asyncio.sleep(_POLL_S)


async def _works(client: Client, name: str) -> None:
    """Let the agent work until it succeeds."""
    while not await _probe(client, name):
        pass


async def _probe_on(client: Client, name: str) -> None:
    while True:
        await _probe(client, name)


async def _probe(client: Client, name: str) -> bool:
    """Let the agent work; return whether it succeeded, and a little later, for others work on this machine, too."""
    await asyncio.sleep(_POLL_S)
    task = await client.submit("probe", target_agent_id=name, retry=_ONCE)
    with contextlib.suppress(TaskError):
        await task.result()
        return True
    return False

"""Has the registry keep new work from those who are to leave, and gives it back to those who stay after all.

It cordons and does not drain: a cordon can be lifted, and an agent that drains leaves by itself, upon which some
drivers would start it again. A cordon outlives restarts of an agent, so one of ours that nobody wants any more is
lifted, too: that of a leader that was replaced, or of an agent whose name is used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import structlog

from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.identity import POOL_LABEL
from tercio.requests import new_request_id
from tercio.rpc.backoff import Backoff
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_common.waiting import set_within
from tercio_scaling.effects.watch_agents import AgentWatch
from tercio_scaling.state.commands import ReportVictims, VictimOutcome, VictimReport
from tercio_scaling.state.views import Cordon, cordons

if TYPE_CHECKING:
    from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceAsyncStub

REASON: Final = "tercio scaling: it is to leave its pool"
"""By which a cordon of ours is known."""
_LOOK_MS: Final = 1_000
_LONGEST_WAIT_MS: Final = 10_000
_TIMEOUT_S: Final = 5.0
_ABSENT: Final = frozenset({"AGENT_NOT_FOUND", "AGENT_NOT_ACTIVE"})
_log = structlog.get_logger(__name__)


class Cordoning:
    """The effect."""

    def __init__(self, peers: Peers, registry: AgentWatch) -> None:
        """Reach the registry among `peers`, of which `registry` is what is known."""
        self._peers, self._registry = peers, registry
        self._wanted = asyncio.Event()

    def committed(self, _seq: int) -> None:
        """A commit has passed: somebody may be chosen to leave."""
        self._wanted.set()

    async def run(self, host: Host) -> None:
        """Cordon and uncordon for as long as the leadership lasts."""
        if not self._peers.has("registry"):
            await asyncio.Event().wait()
        backoff = Backoff(initial_ms=100, maximum_ms=_LONGEST_WAIT_MS)
        async with self._peers.remote("registry", RegistryServiceStub, host=host) as remote:
            while True:
                self._wanted.clear()
                if await self._work(host, remote):
                    backoff.reset()
                    await set_within(self._wanted, _LOOK_MS, clock=host.clock)
                else:
                    await host.clock.sleep_ms(backoff.next_ms())

    async def _work(self, host: Host, remote: Remote[RegistryServiceAsyncStub]) -> bool:
        """Do what is due; tell whether the registry answered."""
        committed = host.committed_seq
        due = [each for each in cordons(host.machine.tables) if each.seq <= committed]
        found: list[VictimReport] = []
        try:
            for cordon in due:
                if not host.may_release():
                    break
                outcome = self._outcome(cordon) or await set_cordon(remote, cordon)
                found.append(VictimReport(cordon.pool_id, cordon.agent_id, outcome))
            for agent_id in list(self._forgotten(host)):
                await set_cordon(remote, Cordon("", agent_id, leaves=False, seq=0))
        except CallError as error:
            _log.info("not_cordoned", error=str(error), effect="tries again; nobody leaves meanwhile")
            note_refusal(error, host=host)
            return False
        finally:
            _report(host, found)
        return True

    def _outcome(self, cordon: Cordon) -> VictimOutcome | None:
        """Return how it is with an agent that somebody else cordoned: that stays as it is."""
        agent = self._registry.agents.get(cordon.agent_id)
        if agent is None or not agent.cordoned or is_ours(agent):
            return None
        return VictimOutcome.CORDONED if cordon.leaves else VictimOutcome.RETURNED

    def _forgotten(self, host: Host) -> Iterator[str]:
        """Give agents that we cordoned and that nobody wants to leave."""
        states, committed = host.machine.tables.states, host.committed_seq
        for agent in self._registry.agents.values():
            state = states.get(agent.labels[POOL_LABEL]) if is_ours(agent) and not agent.draining else None
            if state is None or state.seq > committed:
                continue
            if agent.agent_id not in {victim.agent_id for victim in state.victims}:
                yield agent.agent_id


def is_ours(agent: agent_pb2.Agent) -> bool:
    """Tell whether we cordoned an agent."""
    return agent.cordoned and REASON in agent.state_reason


async def set_cordon(remote: Remote[RegistryServiceAsyncStub], cordon: Cordon) -> VictimOutcome:
    """Set or lift a cordon, and return what came of it.

    Raises:
        CallError: the registry does not answer, or refuses for another reason than that there is no such agent.
    """
    request = pb.CordonAgentRequest(
        request_id=new_request_id(), agent_id=cordon.agent_id, cordoned=cordon.leaves, reason=REASON
    )
    try:
        await remote.unary(lambda stub: stub.CordonAgent, request, timeout_s=_TIMEOUT_S)
    except CallError as error:
        if error.reason in _ABSENT:
            return VictimOutcome.ABSENT
        raise
    return VictimOutcome.CORDONED if cordon.leaves else VictimOutcome.RETURNED


def _report(host: Host, found: list[VictimReport]) -> None:
    if not found:
        return
    try:
        host.propose(ReportVictims(tuple(found)), call=EFFECT)
    except Refusal as refusal:
        # The replica is stopping, or the store is nearly full; cordoning again is harmless.
        _log.info("cordons_not_noted", reason=refusal.reason, effect="they are set and noted again")

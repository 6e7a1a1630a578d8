"""Does to tasks what the conflicts service asks for, and tells it what came of it.

That service calls nobody: it shows what is to be done, and this effect watches. What is reported is durable before; a
report that is lost is made good when the watch begins anew, because what is open is shown again then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceStub
from tercio.requests import new_request_id
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_scheduler.api.agent_streams import AgentStreams
from tercio_scheduler.state.interventions import Intervene, Intervened, Kind
from tercio_scheduler.state.participants import CONFLICTS

if TYPE_CHECKING:
    from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceAsyncStub

_MOST_REPORTED: Final = 100
_KINDS: Final = {int(kind): kind for kind in Kind}
_log = structlog.get_logger(__name__)


class ConflictSettler:
    """The effect."""

    def __init__(self, peers: Peers, agents: AgentStreams) -> None:
        """Serve the conflicts service of the fleet; these agents are told what to stop."""
        self._peers, self._agents = peers, agents

    async def run(self, host: Host) -> None:
        """Watch for ever."""
        if not self._peers.has(CONFLICTS):
            await asyncio.Event().wait()
        async with self._peers.remote(CONFLICTS, ConflictServiceStub, host=host) as remote:
            reconnect = Reconnect(remote.route, Backoff())
            while True:
                tried = remote.route.address
                error = await self._follow(remote, reconnect, host)
                note_refusal(error, host=host)
                await reconnect.wait(error, tried=tried)

    async def _follow(
        self, remote: Remote[ConflictServiceAsyncStub], reconnect: Reconnect, host: Host
    ) -> CallError | None:
        """Serve one watch, which begins with all that is open; return how it ended."""
        call = remote.stub().WatchActions(pb.WatchActionsRequest(), metadata=FOLLOW_LEADER)
        try:
            async for response in call:
                reconnect.succeeded()
                for first in range(0, len(response.actions), _MOST_REPORTED):
                    await self._serve(response.actions[first : first + _MOST_REPORTED], remote, host)
        except CallError as error:
            return error
        except Refusal as refusal:
            _log.warning("intervention_refused", reason=refusal.reason, effect="tries again")
            return CallError(refusal.message, reason=refusal.reason, retry_after_ms=refusal.retry_after_ms)
        except grpc.RpcError as failure:
            return error_of(failure)
        finally:
            call.cancel()
        return None

    async def _serve(
        self, actions: Iterable[conflict_pb2.Action], remote: Remote[ConflictServiceAsyncStub], host: Host
    ) -> None:
        done = [(action, self._intervene(action, host)) for action in actions]
        await host.committed(host.tip_seq)
        for _, intervened in done:
            if intervened.taken is not None:
                self._agents.cancel(*intervened.taken)
        outcomes = [
            pb.ReportActionsRequest.Outcome(
                action_id=action.action_id, done=intervened.done, message=intervened.message[:1024]
            )
            for action, intervened in done
        ]
        request = pb.ReportActionsRequest(request_id=new_request_id(), outcomes=outcomes)
        await remote.unary(lambda stub: stub.ReportActions, request)

    def _intervene(self, action: conflict_pb2.Action, host: Host) -> Intervened:
        kind = _KINDS.get(action.kind)
        if kind is None:
            return Intervened(done=False, message="this scheduler does not know how")
        command = Intervene(
            kind=kind,
            task_id=action.task_id,
            after_task_id=action.after_task_id,
            priority=min(action.priority, 9),
            because=f"conflict {action.conflict_id}",
        )
        reply: Intervened = host.propose(command, call=EFFECT).reply
        return reply

"""Carries out what other services want agents to do, and tells them what came of it.

They never call the scheduler: each shows what it wants, and this effect watches. A system task that is shown
again is known by its id. Outcomes go by way of the outbox, so they outlive this leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.type.v1 import system_task_pb2
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.delivery import Send
from tercio_common.machine.host import Host
from tercio_common.machine.outbox import OutboxRow
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome
from tercio_common.peers import Peers, note_refusal
from tercio_scheduler.effects.system_task_sources import SystemTaskSource
from tercio_scheduler.frames import submit_columns
from tercio_scheduler.state.commands import CarryOut
from tercio_scheduler.state.rows import SYSTEM_TYPES, CarriedRow
from tercio_scheduler.state.system_tasks import outcome_of

_STALE_CURSOR: Final = frozenset({"CURSOR_COMPACTED", "CURSOR_INVALID"})
_RESULTS: Final = {
    Result.SUCCEEDED: system_task_pb2.SystemTaskOutcome.RESULT_SUCCEEDED,
    Result.FAILED: system_task_pb2.SystemTaskOutcome.RESULT_FAILED,
    Result.EXPIRED: system_task_pb2.SystemTaskOutcome.RESULT_EXPIRED,
    Result.AGENT_GONE: system_task_pb2.SystemTaskOutcome.RESULT_AGENT_GONE,
}
_log = structlog.get_logger(__name__)


class SystemTaskRunner:
    """The effect for one service, and the sending of outcomes."""

    def __init__(self, peers: Peers, source: SystemTaskSource) -> None:
        """Serve that service of the fleet, if there is one."""
        self._peers, self._source = peers, source

    async def run(self, host: Host) -> None:
        """Watch for ever."""
        if not self._peers.has(self._source.service):
            await asyncio.Event().wait()
        cursor = ""
        async with self._peers.remote(self._source.service, self._source.stub, host=host) as remote:
            reconnect = Reconnect(remote.route, Backoff())
            while True:
                tried = remote.route.address
                cursor, error = await _follow(remote, self._source, cursor, reconnect, host)
                note_refusal(error, host=host)
                await reconnect.wait(error, tried=tried)

    @asynccontextmanager
    async def reports(self, host: Host) -> AsyncIterator[Send]:
        """Give the way in which outcomes reach the service."""
        if not self._peers.has(self._source.service):
            await asyncio.Event().wait()
        async with self._peers.remote(self._source.service, self._source.stub, host=host) as remote:

            async def send(rows: Sequence[OutboxRow]) -> Collection[str]:
                outcomes = [_message(outcome_of(row.payload)) for row in rows]
                request = self._source.report(outcomes=outcomes)
                await remote.unary(lambda stub: stub.ReportSystemTasks, request)
                return [row.entry_id for row in rows]

            yield send


def command_of(message: system_task_pb2.SystemTask, *, owner: str) -> CarryOut:
    """Return the task that carries out a system task: pinned to its agent, of the highest priority, tried once."""
    task_id = f"{SYSTEM_TYPES}{message.system_task_id}"
    template = task_pb2.TaskTemplate(
        task_type=message.kind,
        priority=9,
        target_agent_id=message.target_agent_id,
        attempt_timeout=message.timeout,
        deadline_in=message.timeout,
        retry=task_pb2.RetryPolicy(max_attempts=1),
    )
    frame = task_service_pb2.SubmitFrame(templates=[template], task_ids=[task_id], payloads=[message.input])
    carried = CarriedRow(task_id, message.system_task_id, owner, message.target_instance_id)
    return CarryOut(carried=carried, columns=submit_columns(frame), frame=frame.SerializeToString())


async def _follow(
    remote: Remote[Any], source: SystemTaskSource, cursor: str, reconnect: Reconnect, host: Host
) -> tuple[str, CallError | None]:
    """Take system tasks until the service is away; return where to go on, and how it ended."""
    call = remote.stub().WatchSystemTasks(source.watch(cursor=cursor), metadata=FOLLOW_LEADER)
    try:
        async for response in call:
            reconnect.succeeded()
            if response.HasField("system_task"):
                host.propose(command_of(response.system_task, owner=source.service), call=EFFECT)
            cursor = response.cursor
    except Refusal as refusal:
        # Begun anew it is shown again, if it is wanted still.
        _log.warning("system_task_refused", reason=str(refusal), effect="tries again")
        return "", CallError(refusal.message, reason=refusal.reason, retry_after_ms=refusal.retry_after_ms)
    except grpc.RpcError as failure:
        error = error_of(failure)
        return "" if error.reason in _STALE_CURSOR else cursor, error
    finally:
        call.cancel()
    return cursor, None


def _message(outcome: SystemTaskOutcome) -> system_task_pb2.SystemTaskOutcome:
    message = system_task_pb2.SystemTaskOutcome(
        system_task_id=outcome.system_task_id,
        result=_RESULTS[outcome.result],
        output=outcome.output,
        error_reason=outcome.error_reason[:128],
        error_message=outcome.error_message[:1024],
    )
    if outcome.wait >= 0:
        message.wait_duration.CopyFrom(_duration(outcome.wait))
        message.run_duration.CopyFrom(_duration(outcome.run))
    return message


def _duration(milliseconds: int) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return duration

"""ConfigService: thin, but for the wait until it is known what becomes of a revision."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import grpc
import structlog

from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1 import config_service_pb2_grpc as rpc
from tercio_common.errors import Refusal
from tercio_common.ids import IdSource
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.calls import call_of
from tercio_registry import config_messages as messages
from tercio_registry.state import config_commands as commands
from tercio_registry.state.configuring import Configuring
from tercio_registry.state.documents import EMPTY, Difference, differences, parse
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.revisions import ConfigSchemaRow, RevisionRow
from tercio_registry.state.rollout_rows import RolloutRow
from tercio_registry.state.session import Session

T = TypeVar("T")
Command = commands.UpdateConfig | commands.RollbackConfig
Context = grpc.aio.ServicerContext[Any, Any]
_MARGIN_S = 0.25
"""Left of the caller's time for the answer itself."""
_VALIDATE, _BACKUP = int(messages.Revision.PHASE_VALIDATE), int(messages.Revision.PHASE_BACKUP)
_log = structlog.get_logger(__name__)


class ConfigServicer(rpc.ConfigServiceServicer):
    """See the contract. What is kept for retries is the number of a revision; the rest is looked up anew."""

    def __init__(self, host: Host, *, ids: IdSource, timer: Callable[[], int] = time.perf_counter_ns) -> None:
        """Serve; `timer` gives nanoseconds, for the reports."""
        self._host, self._ids, self._timer = host, ids, timer

    async def UpdateConfig(self, request: pb.UpdateConfigRequest, context: Context) -> pb.UpdateConfigResponse:
        revision, report = await self._change(messages.update_command, request, context)
        return pb.UpdateConfigResponse(revision=revision, report=report)

    async def RollbackConfig(self, request: pb.RollbackConfigRequest, context: Context) -> pb.RollbackConfigResponse:
        revision, report = await self._change(messages.rollback_command, request, context)
        return pb.RollbackConfigResponse(revision=revision, report=report)

    async def GetConfig(self, request: pb.GetConfigRequest, context: Context) -> pb.GetConfigResponse:
        messages.check_agent(request.agent_id)
        (revision,) = await self._shown(lambda part: [_revision(part, request.agent_id, request.revision)])
        return pb.GetConfigResponse(revision=revision)

    async def ListConfigRevisions(
        self, request: pb.ListConfigRevisionsRequest, context: Context
    ) -> pb.ListConfigRevisionsResponse:
        messages.check_agent(request.agent_id)
        revisions = await self._shown(lambda part: part.revisions.of(request.agent_id))
        if not revisions:
            raise _not_found(f"agent {request.agent_id!r} has no configuration")
        return pb.ListConfigRevisionsResponse(revisions=revisions)

    async def GetConfigDiff(self, request: pb.GetConfigDiffRequest, context: Context) -> pb.GetConfigDiffResponse:
        messages.check_agent(request.agent_id)

        def look(part: Configuring) -> tuple[RevisionRow | None, RevisionRow]:
            after = _revision(part, request.agent_id, request.to_revision)
            number = request.from_revision or after.backup
            return part.configurations.present(request.agent_id, number) if number else None, after

        before, after = await self._read(look)
        return pb.GetConfigDiffResponse(
            from_revision=before.revision if before is not None else 0,
            to_revision=after.revision,
            changes=messages.change_messages(_between(before, after)),
        )

    async def SetConfigSchema(self, request: pb.SetConfigSchemaRequest, context: Context) -> pb.SetConfigSchemaResponse:
        command = messages.schema_command(request)
        await self._host.execute(command, call=call_of(request, context), render=_render_nothing)
        row = await self._read(lambda part: part.revisions.schemas.get(command.agent_type))
        return pb.SetConfigSchemaResponse(schema=messages.schema_message(row) if row is not None else None)

    async def GetConfigSchema(self, request: pb.GetConfigSchemaRequest, context: Context) -> pb.GetConfigSchemaResponse:
        messages.check_agent_type(request.agent_type)
        row: ConfigSchemaRow | None = await self._read(lambda part: part.revisions.schemas.get(request.agent_type))
        if row is None:
            raise _not_found(f"agents of type {request.agent_type!r} have no schema: any object is valid")
        return pb.GetConfigSchemaResponse(schema=messages.schema_message(row))

    async def StartRollout(self, request: pb.StartRolloutRequest, context: Context) -> pb.StartRolloutResponse:
        command = messages.start_command(request, rollout_id=self._ids.new())
        # A retry without an id of its own is answered with the one that was chosen first.
        kept = await self._host.execute(
            command, call=call_of(request, context), render=lambda _reply: command.rollout_id.encode()
        )
        return pb.StartRolloutResponse(rollout=messages.rollout_message(await self._rollout(kept.decode())))

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Context) -> pb.GetRolloutResponse:
        row = await self._rollout(messages.rollout_id_of(request))
        return pb.GetRolloutResponse(rollout=messages.rollout_message(row))

    async def ListRollouts(self, request: pb.ListRolloutsRequest, context: Context) -> pb.ListRolloutsResponse:
        rows = await self._read(lambda part: part.rollouts.newest_first())
        return pb.ListRolloutsResponse(rollouts=map(messages.rollout_summary, rows))

    async def PauseRollout(self, request: pb.PauseRolloutRequest, context: Context) -> pb.PauseRolloutResponse:
        command = commands.PauseRollout(messages.rollout_id_of(request), request.paused)
        await self._host.execute(command, call=call_of(request, context), render=_render_nothing)
        return pb.PauseRolloutResponse(rollout=messages.rollout_message(await self._rollout(command.rollout_id)))

    async def CancelRollout(self, request: pb.CancelRolloutRequest, context: Context) -> pb.CancelRolloutResponse:
        command = commands.CancelRollout(messages.rollout_id_of(request))
        await self._host.execute(command, call=call_of(request, context), render=_render_nothing)
        return pb.CancelRolloutResponse(rollout=messages.rollout_message(await self._rollout(command.rollout_id)))

    async def _change(
        self, translate: Callable[[Any], Command], request: messages.Trying, context: Context
    ) -> tuple[messages.Revision, pb.ConfigUpdateReport]:
        """Try a revision; return it as it is now or, if the caller waits, once it is known what becomes of it."""
        began = self._timer()
        command = translate(request)
        trial = _Trial(command, self._timer)
        try:
            kept = await self._host.execute(command, call=call_of(request, context), render=trial.render)
        except Refusal as refusal:
            if refusal.reason != "INTERNAL":
                raise
            raise _unexpected(command.agent_id) from refusal
        if isinstance(command, commands.UpdateConfig) and command.dry:
            revision = messages.Revision.FromString(kept)
            return revision, messages.report_message(revision, elapsed_ns=self._timer() - began)
        agent_id, number = command.agent_id, int(kept)
        if trial.decided:  # a retry did nothing that could be measured
            took = {_VALIDATE: trial.decided - began, _BACKUP: self._timer() - trial.decided}
            with contextlib.suppress(Refusal):  # the leadership may have ended, but the revision is durable
                self._host.session.timings.note(agent_id, number, took)
        if request.wait:
            await self._decided(agent_id, number, time_left=context.time_remaining())
        row, before = await self._read(lambda part: _with_backup(part, agent_id, number))
        (revision,) = await self._shown(lambda _part: [row])
        if request.wait and row.reason:
            raise _failed(row, messages.report_message(revision, elapsed_ns=self._timer() - began))
        changes = _between(before, row)
        return revision, messages.report_message(revision, elapsed_ns=self._timer() - began, changes=changes)

    async def _decided(self, agent_id: str, number: int, *, time_left: float | None) -> None:
        """Wait until it is known what becomes of a revision, at most until shortly before the caller's time is over."""
        changes = self._host.feed.subscribe(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if time_left is None else max(0, time_left - _MARGIN_S)):
                while True:
                    row = self._host.machine.configuring.revisions.get(agent_id, number)
                    if row is None or not row.state.is_open:
                        break
                    await anext(changes)

    async def _rollout(self, rollout_id: str) -> RolloutRow:
        return await self._read(lambda part: part.rollouts.present(rollout_id))

    async def _shown(self, look: Callable[[Configuring], Iterable[RevisionRow]]) -> list[messages.Revision]:
        """Return revisions with what this leader measured of them."""

        def show(machine: RegistryMachine, session: Session, _at: Moment) -> list[messages.Revision]:
            rows = look(machine.configuring)
            return [messages.revision_message(row, session.timings.of(row.agent_id, row.revision)) for row in rows]

        return await self._host.read(show)

    async def _read(self, look: Callable[[Configuring], T]) -> T:
        return await self._host.read(lambda machine, _session, _at: look(machine.configuring))


def _revision(part: Configuring, agent_id: str, number: int) -> RevisionRow:
    return part.configurations.present(agent_id, number or part.configurations.row(agent_id).active)


class _Trial:
    """The answer that is kept for retries: the number of the revision, or what a dry run would make."""

    def __init__(self, command: Command, timer: Callable[[], int]) -> None:
        self._dry = isinstance(command, commands.UpdateConfig) and command.dry
        self._timer, self._began = timer, timer()
        self.decided = 0

    def render(self, row: RevisionRow) -> bytes:
        self.decided = self._timer()
        if not self._dry:
            return str(row.revision).encode()
        took = {_VALIDATE: self.decided - self._began}
        return messages.revision_message(row, took, number=0).SerializeToString()


def _with_backup(part: Configuring, agent_id: str, number: int) -> tuple[RevisionRow, RevisionRow | None]:
    row = part.configurations.present(agent_id, number)
    return row, part.revisions.get(agent_id, row.backup)


def _between(before: RevisionRow | None, after: RevisionRow) -> Iterator[Difference]:
    return differences(parse(before.document if before is not None else EMPTY), parse(after.document))


def _render_nothing(_reply: Any) -> bytes:
    return b""


def _not_found(message: str) -> Refusal:
    return Refusal("CONFIGURATION_NOT_FOUND", message)


def _failed(row: RevisionRow, report: pb.ConfigUpdateReport) -> Refusal:
    """Return why a revision was given up, as an error."""
    facts = {
        "agentId": row.agent_id, "revision": str(row.revision), "rollbackPerformed": "true",
        "backupRevision": str(row.backup),
    }  # fmt: skip
    message = f"revision {row.revision} of agent {row.agent_id!r} was given up: {row.message}; its backup is back"
    return Refusal(row.reason, message, facts, details=(report,))


def _unexpected(agent_id: str) -> Refusal:
    _log.error("configuration_failed", agent=agent_id, consequence="answered CONFIGURATION_UPDATE_EXCEPTION")
    message = f"the configuration of agent {agent_id!r} could not be changed; look what is active, and try again"
    return Refusal("CONFIGURATION_UPDATE_EXCEPTION", message, {"agentId": agent_id})

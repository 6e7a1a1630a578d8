"""WorktreeService: thin. Where a new pool's repository is, is looked up here: the state sees no disk."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import grpc

from tercio.api.resources.v1 import worktree_service_pb2 as pb
from tercio.api.resources.v1 import worktree_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page
from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_resources.effects.git import Git, GitError
from tercio_resources.state import authority
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.session import Session
from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow
from tercio_resources.translate import worktrees as to_worktrees

Context = grpc.aio.ServicerContext[Any, Any]


class WorktreeServicer(rpc.WorktreeServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host, git: Git) -> None:
        self._host, self._git = host, git

    async def CreateWorktreePool(self, request: pb.CreateWorktreePoolRequest, context: Context) -> Any:
        command, call = to_worktrees.create_command(request), call_of(request, context)
        # Who may not create it is not told either what there is on this machine.
        authority.check(command, call.principal, self._host.machine.rules)
        keeping = await self._found(command.keeping)

        def render(row: WorktreePoolRow) -> bytes:
            return pb.CreateWorktreePoolResponse(worktree_pool=to_worktrees.pool_message(row)).SerializeToString()

        return await self._host.execute(type(command)(command.pool, keeping), call=call, render=render)

    async def ListWorktreePools(
        self, request: pb.ListWorktreePoolsRequest, context: Context
    ) -> pb.ListWorktreePoolsResponse:
        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListWorktreePoolsResponse:
            pools = map(to_worktrees.pool_message, sorted(machine.tables.worktree_pools.values()))
            return pb.ListWorktreePoolsResponse(worktree_pools=pools)

        return await self._host.read(look)

    async def ListWorktrees(self, request: pb.ListWorktreesRequest, context: Context) -> pb.ListWorktreesResponse:
        size = to_worktrees.listing_of(request)
        pool_id, _, number = decode_page("worktrees", request.page_token, request.pool_id).rpartition("/")
        after = (pool_id, int(number or 0))

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListWorktreesResponse:
            tables = machine.tables
            found, more = page(
                tables.worktrees.values(),
                key=attrgetter("pool_id", "number"),
                after=after,
                size=size,
                selects=lambda row: request.pool_id in {"", row.pool_id},
            )
            token = encode_page("worktrees", "{}/{}".format(*found[-1][:2]), request.pool_id) if more else ""
            shown = [to_worktrees.worktree_message(row, tables) for row in found]
            return pb.ListWorktreesResponse(worktrees=shown, next_page_token=token)

        return await self._host.read(look)

    async def GetHeldWorktrees(
        self, request: pb.GetHeldWorktreesRequest, context: Context
    ) -> pb.GetHeldWorktreesResponse:
        owner = to_worktrees.owner_of(request)

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.GetHeldWorktreesResponse:
            tables = machine.tables
            keys = [key for number in tables.holdings.of(owner) for key in tables.worktree_index.held(number)]
            shown = [to_worktrees.worktree_message(tables.worktrees[key], tables) for key in keys]
            return pb.GetHeldWorktreesResponse(worktrees=shown)

        return await self._host.read(look)

    async def CleanWorktree(self, request: pb.CleanWorktreeRequest, context: Context) -> Any:
        command, call = to_worktrees.clean_command(request), call_of(request, context)

        def render(row: WorktreeRow) -> bytes:
            shown = to_worktrees.worktree_message(row, self._host.machine.tables)
            return pb.CleanWorktreeResponse(worktree=shown).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def RemoveWorktree(self, request: pb.RemoveWorktreeRequest, context: Context) -> Any:
        command, call = to_worktrees.remove_command(request), call_of(request, context)

        def render(row: WorktreeRow) -> bytes:
            shown = to_worktrees.worktree_message(row, self._host.machine.tables)
            return pb.RemoveWorktreeResponse(worktree=shown).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def _found(self, keeping: WorktreePoolRow) -> WorktreePoolRow:
        """Return where the pool is kept, by its repository's common directory; raises REPOSITORY_NOT_FOUND."""
        self._host.term.check_may_release()  # another machine may have other repositories
        try:
            repository = await self._git.common_directory(keeping.repository)
            await self._git.commit(repository, keeping.ref)
        except GitError as error:
            raise Refusal("REPOSITORY_NOT_FOUND", f"{error}; name a repository on the machine of the service") from None
        return keeping._replace(repository=str(repository))

"""Git worktrees: held while a block runs, or by an attempt that was admitted with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from tercio.allocations import AllocationCalls
from tercio.api.resources.v1 import resource_service_pb2
from tercio.api.resources.v1 import worktree_service_pb2 as worktrees_pb2
from tercio.attempts import Attempt, owner_of
from tercio.errors import NotFoundError
from tercio.rpc.remote import Remote

if TYPE_CHECKING:
    from tercio.api.resources.v1.worktree_service_pb2_grpc import WorktreeServiceAsyncStub

_DIMENSION: Final = "git_worktrees"
_ANSWER_S: Final = 10.0


class WorktreeCalls(AllocationCalls):
    """What a client asks of the pools of worktrees."""

    @asynccontextmanager
    async def worktree(
        self,
        *,
        owner: str = "",
        tenant: str = "",
        priority: int = 0,
        ttl_s: float = 60.0,
        wait_s: float = 0.0,
        pool_labels: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Path]:
        """Hold a clean git worktree while the block runs, which is given its path. Arguments are those of `allocate`.

        It is on the machine of the resources service. Commits on a branch stay in the repository; everything else that
        is left in it is gone once the block has ended, or its lease. To hold several, or to be told when they are lost,
        use `allocate({"git_worktrees": 3})` and `worktree_paths`.

        Raises:
            ExhaustedError: none is ready, or was in time.
            NotFoundError: no pool has worktrees.
        """
        holding = self.allocate(
            {_DIMENSION: 1},
            owner=owner,
            tenant=tenant,
            priority=priority,
            ttl_s=ttl_s,
            wait_s=wait_s,
            pool_labels=pool_labels,
        )
        async with holding as held:
            paths = await self.worktree_paths(held.allocation_id)
            if not paths:
                raise _counted_only()
            yield paths[0]

    async def worktree_paths(self, allocation_id: int) -> list[Path]:
        """Return the worktrees that an allocation holds: as many as were granted, none if they are only counted.

        Raises:
            NotFoundError: nobody holds it.
        """
        request = resource_service_pb2.GetAllocationRequest(allocation_id=allocation_id)
        response = await self._resources.unary(lambda stub: stub.GetAllocation, request)
        return [Path(path) for path in response.allocation.worktree_paths]


class HeldWorktrees:
    """Asks which worktrees an attempt holds."""

    def __init__(self, remote: Remote[WorktreeServiceAsyncStub]) -> None:
        """Ask the service at `remote`."""
        self._remote = remote

    async def of(self, attempt: Attempt) -> list[Path]:
        """Return the paths; without asking anybody when the attempt was admitted without worktrees."""
        if not attempt.worktree_count:
            return []
        request = worktrees_pb2.GetHeldWorktreesRequest(owner=owner_of(attempt))
        response = await self._remote.unary(lambda stub: stub.GetHeldWorktrees, request, timeout_s=_ANSWER_S)
        return [Path(row.path) for row in response.worktrees]


def _counted_only() -> NotFoundError:
    return NotFoundError(
        "the pool only counts worktrees; `tercio worktrees create` makes one that has them",
        code=grpc.StatusCode.NOT_FOUND,
        reason="WORKTREE_NOT_FOUND",
    )

"""Git worktrees and their pools: contract to domain and back."""

from __future__ import annotations

import os
import re
from typing import Final, cast

from tercio.api.resources.v1 import worktree_pb2
from tercio.api.resources.v1 import worktree_service_pb2 as pb
from tercio_common.rpc.fields import page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_resources.state.pools import UNITS
from tercio_resources.state.rows import PoolRow
from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.worktree_commands import CleanWorktree, CreateWorktreePool, RemoveWorktree
from tercio_resources.state.worktree_rows import DIMENSION, MOST_WORKTREES, WorktreePoolRow, WorktreeRow
from tercio_resources.translate.allocations import check_owner
from tercio_resources.translate.fields import labels_of

_REF: Final = re.compile(r"[^-\0][^\0]{0,255}")
_PATH: Final = re.compile(r"[^\0\n]{1,4096}")
_ABSOLUTE: Final = re.compile(r"/[^\0\n]{0,4095}")


def create_command(request: pb.CreateWorktreePoolRequest) -> CreateWorktreePool:
    """Translate a new pool, whose repository is still as it was given. Raises INVALID_ARGUMENT, as all below do."""
    found, given = Violations(), request.worktree_pool
    found.check_id("worktree_pool.pool_id", given.pool_id)
    found.check("worktree_pool.pool_id", given.pool_id not in {".", ".."}, "must name a file")
    found.check_pattern("worktree_pool.repository", given.repository, _PATH)
    found.check_pattern("worktree_pool.folder", given.folder, _ABSOLUTE)
    if given.ref:
        found.check_pattern("worktree_pool.ref", given.ref, _REF)
    found.check_range("capacity", request.capacity, least=1, most=MOST_WORKTREES)
    labels = labels_of("labels", request.labels, found)
    found.raise_if_any()
    keeping = WorktreePoolRow(given.pool_id, given.repository, os.path.normpath(given.folder), given.ref or "HEAD")
    return CreateWorktreePool(
        PoolRow(given.pool_id, DIMENSION, UNITS[DIMENSION], request.capacity, labels=labels), keeping
    )


def clean_command(request: pb.CleanWorktreeRequest) -> CleanWorktree:
    """Translate the wish for a clean worktree."""
    return CleanWorktree(*_key_of(request))


def remove_command(request: pb.RemoveWorktreeRequest) -> RemoveWorktree:
    """Translate a removal."""
    return RemoveWorktree(*_key_of(request))


def listing_of(request: pb.ListWorktreesRequest) -> int:
    """Return the page size of a list."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.check_id("pool_id", request.pool_id, optional=True)
    found.raise_if_any()
    return size


def owner_of(request: pb.GetHeldWorktreesRequest) -> str:
    """Return whose worktrees are asked for."""
    found = Violations()
    check_owner("owner", request.owner, found)
    found.raise_if_any()
    return request.owner


def pool_message(row: WorktreePoolRow) -> worktree_pb2.WorktreePool:
    """Return where a pool keeps its worktrees as the contract has it."""
    return worktree_pb2.WorktreePool(pool_id=row.pool_id, repository=row.repository, folder=row.folder, ref=row.ref)


def worktree_message(row: WorktreeRow, tables: ResourceTables) -> worktree_pb2.Worktree:
    """Return a worktree as the contract has it."""
    held = tables.allocations.get(row.allocation)
    return worktree_pb2.Worktree(
        pool_id=row.pool_id,
        number=row.number,
        path=tables.worktree_pools[row.pool_id].path(row.number),
        state=cast("worktree_pb2.Worktree.State.ValueType", int(row.state)),
        allocation_id=row.allocation,
        owner=held.owner if held else "",
        failure_count=row.failures,
        message=row.message,
        change_time=timestamp(row.changed_wall),
    )


def _key_of(request: pb.CleanWorktreeRequest | pb.RemoveWorktreeRequest) -> tuple[str, int]:
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    found.check("number", request.number > 0, "must be at least 1")
    found.raise_if_any()
    return request.pool_id, request.number

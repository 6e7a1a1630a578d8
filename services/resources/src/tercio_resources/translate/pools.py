"""Pools: contract to domain and back."""

from __future__ import annotations

from typing import cast

from tercio.api.resources.v1 import pool_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio_common.filtering.predicates import Filter
from tercio_common.rpc.fields import filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_resources.state.commands import CreatePool, DeletePool, UpdatePool
from tercio_resources.state.filters import POOL_FIELDS
from tercio_resources.state.pools import UNITS, PoolView
from tercio_resources.state.rows import PoolRow
from tercio_resources.translate.fields import MOST_OF_ONE, labels_of


def create_command(request: pb.CreatePoolRequest) -> CreatePool:
    """Translate a new pool. Raises INVALID_ARGUMENT, as all below do."""
    found, pool = Violations(), request.pool
    found.check_id("pool.pool_id", pool.pool_id)
    if found.check_id("pool.dimension", pool.dimension) and pool.dimension not in UNITS:
        found.check_length("pool.unit", pool.unit, least=1, most=MAX_TEXT)
    found.check_range("pool.capacity", pool.capacity, least=0, most=MOST_OF_ONE)
    found.check_range("pool.reserve", pool.reserve, least=0, most=max(0, pool.capacity))
    labels = labels_of("pool.labels", pool.labels, found)
    found.raise_if_any()
    return CreatePool(
        PoolRow(pool.pool_id, pool.dimension, pool.unit, pool.capacity, pool.reserve, labels, pool.fenced)
    )


def update_command(request: pb.UpdatePoolRequest) -> UpdatePool:
    """Translate a change; what is absent stays."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    found.check_range("capacity", request.capacity, least=0, most=MOST_OF_ONE)
    found.check_range("reserve", request.reserve, least=0, most=MOST_OF_ONE)
    labels = labels_of("labels", request.labels.labels, found)
    found.raise_if_any()
    return UpdatePool(
        pool_id=request.pool_id,
        capacity=request.capacity if request.HasField("capacity") else None,
        reserve=request.reserve if request.HasField("reserve") else None,
        fenced=request.fenced if request.HasField("fenced") else None,
        labels=labels if request.HasField("labels") else None,
    )


def delete_command(request: pb.DeletePoolRequest) -> DeletePool:
    """Translate a deletion."""
    return DeletePool(pool_id_of(request))


def pool_id_of(request: pb.DeletePoolRequest | pb.GetPoolRequest) -> str:
    """Return which pool is meant."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    found.raise_if_any()
    return request.pool_id


def listing_of(request: pb.ListPoolsRequest) -> tuple[int, Filter[PoolView]]:
    """Return page size and filter of a list."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, POOL_FIELDS, found)
    found.raise_if_any()
    return size, selected


def pool_message(shown: PoolView) -> pool_pb2.Pool:
    """Return a pool as the contract has it."""
    row = shown.row
    return pool_pb2.Pool(
        pool_id=row.pool_id,
        dimension=row.dimension,
        unit=row.unit,
        capacity=row.capacity,
        reserve=row.reserve,
        granted=shown.granted,
        labels=dict(row.labels),
        fenced=row.fenced,
        state=cast("pool_pb2.Pool.State.ValueType", int(shown.state)),
        create_time=timestamp(row.created_wall),
        ready_worktrees=shown.ready,
    )

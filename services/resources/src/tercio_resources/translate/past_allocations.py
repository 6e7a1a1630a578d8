"""Allocations that ended: contract to domain and back."""

from __future__ import annotations

from typing import cast

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio_common.filtering.predicates import Filter
from tercio_common.rpc.fields import filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_resources.state.costs import PARTS_A_MICRO
from tercio_resources.state.filters import PAST_FIELDS
from tercio_resources.state.pools import PoolsByDimension
from tercio_resources.state.rows import PastAllocationRow
from tercio_resources.translate.allocations import part_messages
from tercio_resources.translate.costs import MOST_SHOWN


def listing_of(request: pb.ListAllocationHistoryRequest) -> tuple[int, Filter[PastAllocationRow]]:
    """Return page size and filter of a list. Raises INVALID_ARGUMENT."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, PAST_FIELDS, found)
    found.raise_if_any()
    return size, selected


def past_message(row: PastAllocationRow, units: PoolsByDimension) -> allocation_pb2.PastAllocation:
    """Return an allocation that ended as the contract has it."""
    return allocation_pb2.PastAllocation(
        allocation_id=row.number,
        owner=row.owner,
        agent_id=row.agent_id,
        tenant=row.lot.tenant,
        parts=part_messages(row.lot, units),
        priority=row.lot.priority,
        emergency=row.lot.emergency,
        task_type=row.lot.task_type,
        grant_time=timestamp(row.granted_wall),
        end_time=timestamp(row.ended_wall),
        cause=cast("allocation_pb2.PastAllocation.Cause.ValueType", int(row.cause)),
        micros=min(row.charged // PARTS_A_MICRO, MOST_SHOWN),
    )

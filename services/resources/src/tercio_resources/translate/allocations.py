"""Allocations and what is asked about them: contract to domain and back."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple, cast

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio_common.filtering.predicates import Filter
from tercio_common.rpc.fields import duration, epoch_message, filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_resources.state import worktrees
from tercio_resources.state.commands import Allocate, Release, Resize, Transfer
from tercio_resources.state.filters import ALLOCATION_FIELDS
from tercio_resources.state.pools import PoolsByDimension
from tercio_resources.state.rows import MOST_ITEMS, AllocationRow, Gap, Lot, Spec
from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.views import AllocationView
from tercio_resources.translate.fields import amount_messages, amounts_of, labels_of, tenant_of

MOST_RENEWED: Final = 10_000
_OWNER: Final = re.compile(r"[A-Za-z0-9._:/@-]{1,200}")
_MAX_PRIORITY: Final = 9
_TTL_MS: Final = 60_000
_LEAST_TTL_MS: Final = 1_000
_MOST_TTL_MS: Final = 24 * 3_600_000
_MOST_WAIT_MS: Final = 3_600_000


class Asked(NamedTuple):
    """A request to allocate: what to decide, and how long to wait for it in ms."""

    command: Allocate
    wait: int


def asked_of(request: pb.AllocateRequest) -> Asked:
    """Translate a batch. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    found.check_length("specs", request.specs, least=1, most=MOST_ITEMS, unit="specs")
    _check_owners("owners", request.owners, found, fewest=1)
    indexes, count = tuple(request.spec_indexes), len(request.specs)
    if indexes and found.check(
        "spec_indexes", len(indexes) == len(request.owners), f"must be empty or have {len(request.owners)} entries"
    ):
        found.check("spec_indexes", max(indexes) < count, f"must name one of the {count} specs")
    specs = tuple(spec_of(f"specs[{index}]", spec, found) for index, spec in enumerate(request.specs))
    wait = found.check_duration("wait_timeout", request.wait_timeout, least_ms=0, most_ms=_MOST_WAIT_MS)
    single = len(request.owners) == 1 or request.atomic_batch
    if wait and found.check("wait_timeout", single, "is for one item or an atomic batch"):
        found.check("wait_timeout", len({spec.tenant for spec in specs}) <= 1, "is for items of one tenant")
    found.raise_if_any()
    command = Allocate(
        specs=specs,
        owners=tuple(request.owners),
        indexes=indexes,
        atomic=request.atomic_batch,
        emergency=request.emergency,
        waits=wait > 0,
    )
    return Asked(command, wait)


def check_of(request: pb.CheckAllocationRequest) -> tuple[Spec, str]:
    """Return the spec and the owner of a dry run."""
    found = Violations()
    spec = spec_of("spec", request.spec, found)
    if request.owner:
        check_owner("owner", request.owner, found)
    found.raise_if_any()
    return spec, request.owner


def owners_of(request: pb.RenewRequest) -> tuple[str, ...]:
    """Return who is renewed."""
    found = Violations()
    _check_owners("owners", request.owners, found, most=MOST_RENEWED)
    found.raise_if_any()
    return tuple(request.owners)


def release_command(request: pb.ReleaseRequest) -> Release:
    """Translate a release."""
    found = Violations()
    _check_owners("owners", request.owners, found)
    found.check_length("allocation_ids", request.allocation_ids, most=MOST_ITEMS, unit="allocations")
    if request.agent_ids:
        fits = len(request.agent_ids) == len(request.owners)
        found.check("agent_ids", fits, f"must be empty or have {len(request.owners)} entries")
    for index, agent_id in enumerate(request.agent_ids):
        found.check_id(f"agent_ids[{index}]", agent_id, optional=True)
    found.raise_if_any()
    return Release(tuple(request.owners), tuple(request.allocation_ids), tuple(request.agent_ids))


def transfer_command(request: pb.TransferRequest) -> Transfer:
    """Translate a hand-over."""
    found = Violations()
    check_owner("from_owner", request.from_owner, found)
    check_owner("to_owner", request.to_owner, found)
    found.check_length("allocation_ids", request.allocation_ids, most=MOST_ITEMS, unit="allocations")
    found.raise_if_any()
    return Transfer(from_owner=request.from_owner, to_owner=request.to_owner, numbers=tuple(request.allocation_ids))


def resize_command(request: pb.ResizeRequest) -> Resize:
    """Translate a change of amounts."""
    found = Violations()
    check_owner("owner", request.owner, found)
    amounts = amounts_of("amounts", request.amounts, found, least=1, fewest=1)
    found.raise_if_any()
    return Resize(number=request.allocation_id, owner=request.owner, amounts=amounts)


def listing_of(request: pb.ListAllocationsRequest) -> tuple[int, Filter[AllocationRow]]:
    """Return page size and filter of a list."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, ALLOCATION_FIELDS, found)
    found.raise_if_any()
    return size, selected


def watch_filter(request: pb.WatchAllocationsRequest) -> Filter[AllocationRow]:
    """Return the filter of a watch."""
    found = Violations()
    selected = filter_of(request.expression, ALLOCATION_FIELDS, found)
    found.raise_if_any()
    return selected


def allocation_message(shown: AllocationView, tables: ResourceTables) -> allocation_pb2.Allocation:
    """Return an allocation as the contract has it."""
    row, lot = shown.row, shown.row.lot
    message = allocation_pb2.Allocation(
        allocation_id=row.number,
        owner=row.owner,
        tenant=lot.tenant,
        priority=lot.priority,
        ttl=duration(lot.ttl),
        token=allocation_pb2.FencingToken(epoch=epoch_message(row.epoch), number=row.token),
        state=cast("allocation_pb2.Allocation.State.ValueType", int(shown.state)),
        grant_time=timestamp(row.granted_wall),
        expire_time=timestamp(shown.expires_wall),
        revoke_time=timestamp(shown.revoked_wall) if shown.revoked_wall else None,
        emergency=lot.emergency,
        worktree_paths=worktrees.paths_of(row.number, tables),
    )
    message.parts.extend(part_messages(lot, tables.by_dimension))
    return message


def part_messages(lot: Lot, units: PoolsByDimension) -> list[allocation_pb2.Allocation.Part]:
    """Return the parts of a lot as the contract has them."""
    amounts = amount_messages([(part.dimension, part.amount, units.unit(part.dimension)) for part in lot.parts])
    return [
        allocation_pb2.Allocation.Part(pool_id=part.pool_id, amount=amount)
        for part, amount in zip(lot.parts, amounts, strict=True)
    ]


def gap_messages(gaps: Collection[Gap]) -> list[allocation_pb2.Gap]:
    """Return what is missing as the contract has it."""
    return [
        allocation_pb2.Gap(
            dimension=gap.dimension,
            required=gap.required,
            available=gap.bound.available,
            gap=gap.required - gap.bound.available,
            bound=gap.bound.kind,
            most=gap.bound.most,
        )
        for gap in gaps
    ]


def spec_of(field: str, message: allocation_pb2.AllocationSpec, found: Violations) -> Spec:
    """Return what is asked for, and note what is wrong with it."""
    ttl = _TTL_MS
    if message.HasField("ttl"):
        ttl = found.check_duration(f"{field}.ttl", message.ttl, least_ms=_LEAST_TTL_MS, most_ms=_MOST_TTL_MS)
    found.check_range(f"{field}.priority", message.priority, least=0, most=_MAX_PRIORITY)
    found.check_id(f"{field}.task_type", message.task_type, optional=True)
    return Spec(
        amounts_of(f"{field}.amounts", message.amounts, found, least=1, fewest=1),
        tenant_of(f"{field}.tenant", message.tenant, found),
        message.priority,
        ttl,
        labels_of(f"{field}.pool_labels", message.pool_labels, found),
        message.task_type,
    )


def check_owner(field: str, owner: str, found: Violations) -> None:
    """Note what is wrong with an owner."""
    found.check_pattern(field, owner, _OWNER)


def _check_owners(
    field: str, owners: Collection[str], found: Violations, *, fewest: int = 0, most: int = MOST_ITEMS
) -> None:
    found.check_length(field, owners, least=fewest, most=most, unit="owners")
    for index, owner in enumerate(owners):
        if _OWNER.fullmatch(owner) is None:
            check_owner(f"{field}[{index}]", owner, found)

"""Events and rows as protobuf. A field that was ever written stays readable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from google.protobuf.message import Message

from tercio_common.epochs import Epoch
from tercio_common.leasing.tombstones import TombstoneRow
from tercio_common.machine.descriptions import describe
from tercio_common.machine.protocol import Description
from tercio_resources import budget_codec, cost_codec, past_codec, reservation_codec, worktree_codec
from tercio_resources.lot_codec import lot_of, lot_record
from tercio_resources.records.v1 import events_pb2 as records
from tercio_resources.state import events
from tercio_resources.state.commands import UsageReport
from tercio_resources.state.rows import (
    AllocationRow,
    Amount,
    HistoryRow,
    PastTask,
    PoolRecordRow,
    PoolRow,
    QuotaRow,
    Sample,
    SamplesRow,
    StrategyRow,
    UsageRow,
    Used,
)
from tercio_resources.state.tables import (
    ALLOCATIONS,
    HISTORIES,
    POOL_RECORDS,
    POOLS,
    QUOTAS,
    SAMPLES,
    STRATEGIES,
    TOMBSTONES,
    USAGES,
)

_OF_ALLOCATIONS = {
    "allocations_released",
    "allocations_transferred",
    "allocations_reshaped",
    "past_allocations_forgotten",
    "revocations_requested",
}


def encode_event(event: Any) -> bytes:
    """Encode one event."""
    return _ENCODERS[type(event)](event).SerializeToString(deterministic=True)


def decode_event(data: bytes) -> events.Event:
    """Decode one event; raises ValueError for bytes that no version wrote."""
    event = records.Event.FromString(data)
    kind = event.WhichOneof("kind")
    if kind is None:
        raise ValueError("an event of a kind that this version does not know; run a newer version")
    return _DECODERS[kind](getattr(event, kind))


class ResourcesCodec:
    """The `Codec` of the resources service."""

    def encode_event(self, event: Any) -> bytes:
        return encode_event(event)

    def decode_event(self, data: bytes) -> events.Event:
        return decode_event(data)

    def describe_event(self, data: bytes) -> Description:
        event = records.Event.FromString(data)
        kind = event.WhichOneof("kind") or ""
        described, fact = describe(event, kind), cast(Any, getattr(event, kind, None))
        match kind:
            case "allocations_granted":
                return described._replace(resources=(f"owners/{owner}" for owner in fact.owners))
            case _ if kind in _OF_ALLOCATIONS:
                return described._replace(resources=(f"allocations/{each}" for each in fact.allocation_numbers))
            case "usage_reported":
                return described._replace(resources=(f"allocations/{each.allocation_number}" for each in fact.reports))
            case "use_sampled":
                return described._replace(resources=(f"pools/{each}" for each in sorted(fact.granted)))
            case "pools_set":
                return described._replace(resources=(f"pools/{pool.pool_id}" for pool in fact.pools))
            case "reservation_made":
                return described._replace(resources=(f"owners/{fact.owner}",))
            case "reservation_advanced" | "reservation_claimed":
                return described._replace(resources=(f"reservations/{fact.reservation_number}",))
            case "reservations_ended":
                return described._replace(resources=(f"reservations/{each}" for each in fact.reservation_numbers))
            case "budget_set":
                return described._replace(resources=(f"budgets/{fact.budget_id}",))
            case "blocks_settled":
                return described._replace(resources=(f"budgets/{item.budget_id}" for item in fact.items))
            case "blocks_lost":
                return described._replace(resources=(f"budgets/{budget_id}" for budget_id in fact.budget_ids))
            case "worktree_pools_set" | "worktrees_set" | "worktree_removed":
                return described._replace(resources=worktree_codec.names(fact))
            case _:
                return described

    def encode_row(self, table: str, row: Any) -> bytes:
        return _ROW_ENCODERS[table](row).SerializeToString(deterministic=True)

    def decode_row(self, table: str, data: bytes) -> Any:
        if table == POOLS:
            return _pool(records.PoolRow.FromString(data))
        if table == QUOTAS:
            return _quota(records.QuotaRow.FromString(data))
        if table == ALLOCATIONS:
            return _allocation(records.AllocationRow.FromString(data))
        if table == TOMBSTONES:
            row = records.TombstoneRow.FromString(data)
            return TombstoneRow(row.owner, row.released_now_ms)
        if table == USAGES:
            return _usage(records.UsageRow.FromString(data))
        if table == HISTORIES:
            return _history(records.HistoryRow.FromString(data))
        if table == SAMPLES:
            return _samples(records.SamplesRow.FromString(data))
        if table == STRATEGIES:
            return _strategy(records.StrategyRow.FromString(data))
        if table == POOL_RECORDS:
            return _pool_record_row(records.PoolRecordRow.FromString(data))
        for part in (budget_codec, past_codec, reservation_codec, cost_codec, worktree_codec):
            if table in part.ROW_DECODERS:
                return part.ROW_DECODERS[table](data)
        raise ValueError(f"the resources service has no table {table!r}")


def _pool_record(row: PoolRow) -> records.PoolRow:
    return records.PoolRow(
        pool_id=row.pool_id,
        dimension=row.dimension,
        unit=row.unit,
        capacity=row.capacity,
        reserve=row.reserve,
        labels=dict(row.labels),
        fenced=row.fenced,
        created_wall_ms=row.created_wall,
    )


def _pool(record: records.PoolRow) -> PoolRow:
    return PoolRow(
        pool_id=record.pool_id,
        dimension=record.dimension,
        unit=record.unit,
        capacity=record.capacity,
        reserve=record.reserve,
        labels=tuple(sorted(record.labels.items())),
        fenced=record.fenced,
        created_wall=record.created_wall_ms,
    )


def _quota_record(row: QuotaRow) -> records.QuotaRow:
    return records.QuotaRow(tenant=row.tenant, limits=dict(row.limits), borrowing=row.borrowing)


def _quota(record: records.QuotaRow) -> QuotaRow:
    return QuotaRow(record.tenant, tuple(sorted(record.limits.items())), record.borrowing)


def _allocation_record(row: AllocationRow) -> records.AllocationRow:
    return records.AllocationRow(
        number=row.number,
        owner=row.owner,
        lot=lot_record(row.lot),
        token=row.token,
        epoch_generation=row.epoch.generation,
        epoch_revision=row.epoch.revision,
        granted_now_ms=row.granted_now,
        granted_wall_ms=row.granted_wall,
        revoke_at_ms=row.revoke_at,
        charged_now_ms=row.charged_now,
        charged_parts=str(row.charged) if row.charged else "",
        principal=row.principal,
    )


def _allocation(record: records.AllocationRow) -> AllocationRow:
    return AllocationRow(
        number=record.number,
        owner=record.owner,
        lot=lot_of(record.lot),
        token=record.token,
        epoch=Epoch(record.epoch_generation, record.epoch_revision),
        granted_now=record.granted_now_ms,
        granted_wall=record.granted_wall_ms,
        revoke_at=record.revoke_at_ms,
        charged_now=record.charged_now_ms,
        charged=int(record.charged_parts or 0),
        principal=record.principal,
    )


def _usage_record(row: UsageRow) -> records.UsageRow:
    return records.UsageRow(
        allocation_number=row.number,
        task_type=row.task_type,
        labels=dict(row.labels),
        used=[
            records.Used(dimension=name, granted=granted, last=last, peak=peak)
            for name, granted, last, peak in row.used
        ],
        report_count=row.reports,
        first_now_ms=row.first_now,
        last_now_ms=row.last_now,
        last_wall_ms=row.last_wall,
        busy_now_ms=row.busy_now,
    )


def _usage(record: records.UsageRow) -> UsageRow:
    return UsageRow(
        number=record.allocation_number,
        task_type=record.task_type,
        labels=tuple(sorted(record.labels.items())),
        used=tuple(Used(used.dimension, used.granted, used.last, used.peak) for used in record.used),
        reports=record.report_count,
        first_now=record.first_now_ms,
        last_now=record.last_now_ms,
        last_wall=record.last_wall_ms,
        busy_now=record.busy_now_ms,
    )


def _history_record(row: HistoryRow) -> records.HistoryRow:
    return records.HistoryRow(
        task_type=row.task_type,
        tasks=[records.HistoryRow.PastTask(labels=dict(task.labels), peaks=dict(task.peaks)) for task in row.tasks],
        error_per_mille=row.error,
        compared_count=row.compared,
        ended_now_ms=row.ended_now,
    )


def _history(record: records.HistoryRow) -> HistoryRow:
    tasks = tuple(
        PastTask(tuple(sorted(task.labels.items())), tuple(sorted(task.peaks.items()))) for task in record.tasks
    )
    return HistoryRow(record.task_type, tasks, record.error_per_mille, record.compared_count, record.ended_now_ms)


def _samples_record(row: SamplesRow) -> records.SamplesRow:
    return records.SamplesRow(
        pool_id=row.pool_id,
        sampled_now_ms=[sample.now for sample in row.samples],
        granted=[sample.granted for sample in row.samples],
    )


def _samples(record: records.SamplesRow) -> SamplesRow:
    pairs = zip(record.sampled_now_ms, record.granted, strict=True)
    return SamplesRow(record.pool_id, tuple(Sample(now, granted) for now, granted in pairs))


def _strategy_record(row: StrategyRow) -> records.StrategyRow:
    return records.StrategyRow(subject=row.subject, name=row.name)


def _strategy(record: records.StrategyRow) -> StrategyRow:
    return StrategyRow(record.subject, record.name)


def _pool_record_record(row: PoolRecordRow) -> records.PoolRecordRow:
    return records.PoolRecordRow(
        pool_id=row.pool_id,
        turn=row.turn,
        ended_count=row.ended,
        failed_count=row.failed,
        failing_per_mille=row.failing,
    )


def _pool_record_row(record: records.PoolRecordRow) -> PoolRecordRow:
    return PoolRecordRow(record.pool_id, record.turn, record.ended_count, record.failed_count, record.failing_per_mille)


def _usage_reported_record(event: events.UsageReported) -> records.Event:
    return records.Event(
        usage_reported=records.UsageReported(
            reports=[
                records.UsageReported.Report(
                    allocation_number=each.number,
                    task_type=each.task_type,
                    labels=dict(each.labels),
                    used={amount.dimension: amount.amount for amount in each.used},
                )
                for each in event.reports
            ]
        )
    )


def _report(record: records.UsageReported.Report) -> UsageReport:
    used = tuple(Amount(name, amount) for name, amount in sorted(record.used.items()))
    return UsageReport(record.allocation_number, used, record.task_type, tuple(sorted(record.labels.items())))


def _granted_record(event: events.AllocationsGranted) -> records.Event:
    return records.Event(
        allocations_granted=records.AllocationsGranted(
            lots=map(lot_record, event.lots), owners=event.owners, lot_indexes=event.indexes
        )
    )


def _transferred_record(event: events.AllocationsTransferred) -> records.Event:
    return records.Event(
        allocations_transferred=records.AllocationsTransferred(
            allocation_numbers=event.numbers, to_owner=event.to_owner
        )
    )


def _revocations_record(event: events.RevocationsRequested) -> records.Event:
    return records.Event(
        revocations_requested=records.RevocationsRequested(
            allocation_numbers=event.numbers, revoke_at_ms=event.revoke_at
        )
    )


_ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    events.PoolsSet: lambda e: records.Event(pools_set=records.PoolsSet(pools=map(_pool_record, e.rows))),
    events.PoolDeleted: lambda e: records.Event(pool_deleted=records.PoolDeleted(pool_id=e.pool_id)),
    events.QuotaSet: lambda e: records.Event(quota_set=_quota_record(e.row)),
    events.QuotaDeleted: lambda e: records.Event(quota_deleted=records.QuotaDeleted(tenant=e.tenant)),
    events.AllocationsGranted: _granted_record,
    events.AllocationsTransferred: _transferred_record,
    events.RevocationsRequested: _revocations_record,
    events.TombstonesPruned: lambda e: records.Event(tombstones_pruned=records.TombstonesPruned(owners=e.owners)),
    events.UsageReported: _usage_reported_record,
    events.UseSampled: lambda e: records.Event(use_sampled=records.UseSampled(granted=dict(e.granted))),
    events.AllocationsReshaped: lambda e: records.Event(
        allocations_reshaped=records.AllocationsReshaped(allocation_numbers=e.numbers, lots=map(lot_record, e.lots))
    ),
    events.StrategySet: lambda e: records.Event(strategy_set=_strategy_record(e.row)),
    **past_codec.ENCODERS,
    **budget_codec.ENCODERS,
    **reservation_codec.ENCODERS,
    **worktree_codec.ENCODERS,
    **cost_codec.ENCODERS,
}

_DECODERS: dict[str, Callable[[Any], events.Event]] = {
    "pools_set": lambda r: events.PoolsSet(tuple(map(_pool, r.pools))),
    "pool_deleted": lambda r: events.PoolDeleted(r.pool_id),
    "quota_set": lambda r: events.QuotaSet(_quota(r)),
    "quota_deleted": lambda r: events.QuotaDeleted(r.tenant),
    "allocations_granted": lambda r: events.AllocationsGranted(
        tuple(map(lot_of, r.lots)), tuple(r.owners), tuple(r.lot_indexes)
    ),
    "allocations_transferred": lambda r: events.AllocationsTransferred(tuple(r.allocation_numbers), r.to_owner),
    "revocations_requested": lambda r: events.RevocationsRequested(tuple(r.allocation_numbers), r.revoke_at_ms),
    "tombstones_pruned": lambda r: events.TombstonesPruned(tuple(r.owners)),
    "usage_reported": lambda r: events.UsageReported(tuple(map(_report, r.reports))),
    "use_sampled": lambda r: events.UseSampled(tuple(sorted(r.granted.items()))),
    "allocations_reshaped": lambda r: events.AllocationsReshaped(
        tuple(r.allocation_numbers), tuple(map(lot_of, r.lots))
    ),
    "strategy_set": lambda r: events.StrategySet(_strategy(r)),
    **past_codec.DECODERS,
    **budget_codec.DECODERS,
    **reservation_codec.DECODERS,
    **worktree_codec.DECODERS,
    **cost_codec.DECODERS,
}

_ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {
    POOLS: _pool_record,
    QUOTAS: _quota_record,
    ALLOCATIONS: _allocation_record,
    TOMBSTONES: lambda row: records.TombstoneRow(owner=row.owner, released_now_ms=row.released_now),
    USAGES: _usage_record,
    HISTORIES: _history_record,
    SAMPLES: _samples_record,
    STRATEGIES: _strategy_record,
    POOL_RECORDS: _pool_record_record,
    **past_codec.ROW_ENCODERS,
    **budget_codec.ROW_ENCODERS,
    **reservation_codec.ROW_ENCODERS,
    **worktree_codec.ROW_ENCODERS,
    **cost_codec.ROW_ENCODERS,
}

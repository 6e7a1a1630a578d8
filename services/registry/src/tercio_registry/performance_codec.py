"""Performance and history as protobuf; part of the registry's codec."""

from __future__ import annotations

from collections.abc import Iterator

from tercio_registry.records.v1 import events_pb2 as records
from tercio_registry.state.events import PerformanceRecorded
from tercio_registry.state.history import HistoryRow, Transition
from tercio_registry.state.performance import PerformanceRow, TypeHistory
from tercio_registry.state.totals import Counted, Totals
from tercio_registry.state.views import State


def recorded_record(event: PerformanceRecorded) -> records.Event:
    """Return the record of counted totals."""
    places: dict[str, int] = {}
    entries = [(places.setdefault(name, len(places)), totals) for each in event.agents for name, totals in each.types]
    record = records.PerformanceRecorded(
        agent_ids=[each.agent_id for each in event.agents],
        instance_ids=[each.instance_id for each in event.agents],
        counts=[len(each.types) for each in event.agents],
        task_types=list(places),
        types=[place for place, _ in entries],
        succeeded=[totals.succeeded for _, totals in entries],
        failed=[totals.failed for _, totals in entries],
        run_micros=[totals.run_micros for _, totals in entries],
    )
    return records.Event(performance_recorded=record)


def recorded_of(record: records.PerformanceRecorded) -> PerformanceRecorded:
    """Read a record of counted totals."""
    entries = _entries(record)
    agents = zip(record.agent_ids, record.instance_ids, record.counts, strict=True)
    return PerformanceRecorded(
        tuple(
            Counted(agent_id=agent_id, instance_id=instance_id, types=tuple(next(entries) for _ in range(count)))
            for agent_id, instance_id, count in agents
        )
    )


def performance_record(row: PerformanceRow) -> records.PerformanceRow:
    """Return a row of the table `performance` as a record."""
    return records.PerformanceRow(
        agent_id=row.agent_id,
        instance_id=row.instance_id,
        task_types=[
            records.PerformanceRow.TaskType(
                task_type=each.task_type,
                former=_totals_record(each.former),
                present=_totals_record(each.present),
                success_ppm=each.success_ppm,
                average_micros=each.average_micros,
            )
            for each in row.types
        ],
    )


def performance_of(data: bytes) -> PerformanceRow:
    """Read a row of the table `performance`."""
    record = records.PerformanceRow.FromString(data)
    types = tuple(
        TypeHistory(each.task_type, _totals(each.former), _totals(each.present), each.success_ppm, each.average_micros)
        for each in record.task_types
    )
    return PerformanceRow(agent_id=record.agent_id, instance_id=record.instance_id, types=types)


def history_record(row: HistoryRow) -> records.HistoryRow:
    """Return a row of the table `history` as a record."""
    return records.HistoryRow(
        agent_id=row.agent_id,
        transitions=[
            records.HistoryRow.Transition(
                wall_ms=each.wall,
                state=each.state,
                cordoned=each.cordoned,
                draining=each.draining,
                incarnation=each.incarnation,
                reason=each.reason,
            )
            for each in row.transitions
        ],
    )


def history_of(data: bytes) -> HistoryRow:
    """Read a row of the table `history`."""
    record = records.HistoryRow.FromString(data)
    transitions = tuple(
        Transition(each.wall_ms, State(each.state), each.cordoned, each.draining, each.incarnation, each.reason)
        for each in record.transitions
    )
    return HistoryRow(record.agent_id, transitions)


def _entries(record: records.PerformanceRecorded) -> Iterator[tuple[str, Totals]]:
    columns = zip(record.types, record.succeeded, record.failed, record.run_micros, strict=True)
    for place, succeeded, failed, run_micros in columns:
        yield record.task_types[place], Totals(succeeded, failed, run_micros)


def _totals_record(totals: Totals) -> records.PerformanceRow.Totals:
    return records.PerformanceRow.Totals(succeeded=totals.succeeded, failed=totals.failed, run_micros=totals.run_micros)


def _totals(record: records.PerformanceRow.Totals) -> Totals:
    return Totals(record.succeeded, record.failed, record.run_micros)

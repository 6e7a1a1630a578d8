"""Performance and history as protobuf; part of the registry's codec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat

from tercio_registry.records.v1 import events_pb2 as records
from tercio_registry.state.events import PerformanceRecorded
from tercio_registry.state.history import HistoryRow, Transition
from tercio_registry.state.performance import MeasureHistory, PerformanceRow, TypeHistory
from tercio_registry.state.totals import Counted, Measured, Totals
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
    _write_measures(record, [totals.measures for _, totals in entries])
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
                measures=[records.PerformanceRow.Measure(**measure._asdict()) for measure in each.measures],
            )
            for each in row.types
        ],
    )


def performance_of(data: bytes) -> PerformanceRow:
    """Read a row of the table `performance`."""
    record = records.PerformanceRow.FromString(data)
    types = tuple(
        TypeHistory(
            each.task_type,
            _totals(each.former),
            _totals(each.present),
            each.success_ppm,
            each.average_micros,
            tuple(
                MeasureHistory(m.name, m.former_times, m.times, m.sum_micros, m.average_micros) for m in each.measures
            ),
        )
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
    measures = _measures(record)
    # Records from before there were measures have no counts of them.
    counts = chain(record.measure_counts, repeat(0))
    for (place, succeeded, failed, run_micros), count in zip(columns, counts, strict=False):
        measured = tuple(islice(measures, count))
        yield record.task_types[place], Totals(succeeded, failed, run_micros, measured)


def _write_measures(record: records.PerformanceRecorded, entries: Sequence[tuple[Measured, ...]]) -> None:
    measures = list(chain.from_iterable(entries))
    if not measures:
        return
    places: dict[str, int] = {}
    record.measures.extend(places.setdefault(each.name, len(places)) for each in measures)
    record.measure_counts.extend(map(len, entries))
    record.measure_names.extend(places)
    record.measured.extend(each.times for each in measures)
    record.measured_micros.extend(each.sum_micros for each in measures)


def _measures(record: records.PerformanceRecorded) -> Iterator[Measured]:
    for place, count, micros in zip(record.measures, record.measured, record.measured_micros, strict=True):
        yield Measured(record.measure_names[place], count, micros)


def _totals_record(totals: Totals) -> records.PerformanceRow.Totals:
    return records.PerformanceRow.Totals(succeeded=totals.succeeded, failed=totals.failed, run_micros=totals.run_micros)


def _totals(record: records.PerformanceRow.Totals) -> Totals:
    return Totals(record.succeeded, record.failed, record.run_micros)

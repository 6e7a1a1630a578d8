"""Performance and history, contract to domain and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.registry.v1 import agent_pb2, performance_pb2
from tercio_common.errors import Refusal
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_registry.health_messages import report_of
from tercio_registry.requirements import in_pools
from tercio_registry.settings import DimensionSettings
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.history import Transition
from tercio_registry.state.performance import MeasureHistory, Performance, TypeHistory
from tercio_registry.state.session import Session
from tercio_registry.state.totals import MOST_MEASURES, MOST_TOTAL, MOST_TYPES, Measured, Totals
from tercio_registry.state.vitals import Vitals

_MILLION = 1_000_000
_MOST_NAME = 64
_NO_DIMENSIONS: Mapping[str, DimensionSettings] = {}


def check_totals(field: str, totals: performance_pb2.TaskTotals, found: Violations) -> None:
    """Note what is wrong with an agent's totals."""
    names = totals.task_types
    found.check_length(f"{field}.task_types", names, most=MOST_TYPES, unit="types")
    found.check(f"{field}.task_types", len(set(names)) == len(names), "has a type twice")
    for index, name in enumerate(names):
        found.check_length(f"{field}.task_types[{index}]", name, least=1, most=MAX_TEXT)
    for column in ("succeeded", "failed", "run_micros"):
        values = getattr(totals, column)
        found.check(f"{field}.{column}", len(values) == len(names), f"has {len(values)} entries for {len(names)} types")
        found.check(f"{field}.{column}", max(values, default=0) <= MOST_TOTAL, f"has a value over {MOST_TOTAL}")
    _check_measures(f"{field}.measures", totals, found)


def totals_of(totals: performance_pb2.TaskTotals) -> dict[str, Totals]:
    """Return checked totals by type."""
    measures: dict[int, list[Measured]] = {}
    for each in totals.measures:
        measures.setdefault(each.task_type_index, []).append(Measured(each.name, each.count, each.sum_micros))
    columns = zip(totals.task_types, totals.succeeded, totals.failed, totals.run_micros, strict=True)
    return {
        name: Totals(succeeded, failed, run_micros, tuple(measures.get(place, ())))
        for place, (name, succeeded, failed, run_micros) in enumerate(columns)
    }


def performance_message(
    row: AgentRow,
    performance: Performance,
    session: Session,
    *,
    only: str = "",
    dimensions: Mapping[str, DimensionSettings] = _NO_DIMENSIONS,
) -> performance_pb2.AgentPerformance:
    """Return what an agent does and how well, of all types or `only` of one.

    `dimensions` say what agents call what pools call otherwise.
    """
    history = performance.table.get(row.agent_id)
    types = [each for each in (history.types if history is not None else ()) if not only or each.task_type == only]
    running = session.active_attempts(row.agent_id)
    succeeded, failed = sum(each.succeeded for each in types), sum(each.failed for each in types)
    message = performance_pb2.AgentPerformance(
        agent_id=row.agent_id,
        task_types=[_type_message(each, performance) for each in types],
        utilization_ratio=min(1, running / row.profile.concurrency),
        active_attempts=running,
        succeeded=succeeded,
        failed=failed,
        success_ratio=success_ratio(types),
        efficiency=efficiency(types, performance),
        cpu_efficiency=_cpu_efficiency(row, session.vitals(row.agent_id), dimensions),
        resource_usage=report_of(session.vitals(row.agent_id)),
        measures=_mean_measures(types),
    )
    if average := average_micros(types):
        message.average_duration.FromMicroseconds(average)
    return message


def success_ratio(types: Iterable[TypeHistory]) -> float:
    """Return the mean of the moving averages, weighed by attempts; 0 without any."""
    weighed = [(each.succeeded + each.failed, each.success_ppm) for each in types]
    attempts = sum(count for count, _ in weighed)
    return sum(count * ppm for count, ppm in weighed) / (attempts * _MILLION) if attempts else 0.0


def average_micros(types: Iterable[TypeHistory]) -> int:
    """Return the mean of the moving averages of the run time, weighed by successes; 0 without any."""
    weighed = [(each.succeeded, each.average_micros) for each in types]
    successes = sum(count for count, _ in weighed)
    return sum(count * micros for count, micros in weighed) // successes if successes else 0


def _check_measures(field: str, totals: performance_pb2.TaskTotals, found: Violations) -> None:
    names = Counter(each.task_type_index for each in totals.measures)
    found.check(field, max(names.values(), default=0) <= MOST_MEASURES, f"has over {MOST_MEASURES} names of a type")
    seen: set[tuple[int, str]] = set()
    for index, each in enumerate(totals.measures):
        path, key = f"{field}[{index}]", (each.task_type_index, each.name)
        is_known = each.task_type_index < len(totals.task_types)
        found.check(f"{path}.task_type_index", is_known, "has no type")
        found.check(f"{path}.name", key not in seen, "is given twice")
        if found.check_id(f"{path}.name", each.name):
            found.check_length(f"{path}.name", each.name, most=_MOST_NAME)
        found.check_range(f"{path}.count", each.count, least=0, most=MOST_TOTAL)
        found.check_range(f"{path}.sum_micros", each.sum_micros, least=0, most=MOST_TOTAL)
        seen.add(key)


def _mean_measures(types: Iterable[TypeHistory]) -> list[performance_pb2.Measure]:
    by_name: dict[str, list[MeasureHistory]] = {}
    for each in types:
        for measure in each.measures:
            by_name.setdefault(measure.name, []).append(measure)
    return [_measure_message(name, measures) for name, measures in sorted(by_name.items())]


def _measure_message(name: str, measures: Iterable[MeasureHistory]) -> performance_pb2.Measure:
    weighed = [(each.total_times, each.average_micros) for each in measures]
    count = sum(each for each, _ in weighed)
    average = sum(each * micros for each, micros in weighed) / (count * _MILLION) if count else 0.0
    return performance_pb2.Measure(name=name, count=count, average=average)


def efficiency(types: Iterable[TypeHistory], performance: Performance) -> float:
    """Return the mean of the time efficiencies, weighed by successes; 0 without any."""
    weighed = [(each.succeeded, performance.efficiency(each)) for each in types]
    successes = sum(count for count, _ in weighed)
    return sum(count * ppm for count, ppm in weighed) / (successes * _MILLION) if successes else 0.0


def _cpu_efficiency(row: AgentRow, vitals: Vitals | None, dimensions: Mapping[str, DimensionSettings]) -> float | None:
    """Return used per required CPU; None unless both are known."""
    with suppress(Refusal):  # its units have another meaning since the settings were changed
        for each in in_pools(row.profile.resource_requirements, dimensions):
            if each.dimension == "cpu" and vitals is not None and vitals.cpu_ratio:
                return min(1.0, vitals.cpu_ratio * 1_000 / each.amount)
    return None


def transition_message(transition: Transition) -> agent_pb2.AgentTransition:
    """Return a change of an agent as the contract has it."""
    seconds, rest = divmod(transition.wall, 1000)
    return agent_pb2.AgentTransition(
        time=Timestamp(seconds=seconds, nanos=rest * 1_000_000),
        state=cast("agent_pb2.Agent.State.ValueType", int(transition.state)),
        cordoned=transition.cordoned,
        draining=transition.draining,
        incarnation=transition.incarnation,
        reason=transition.reason,
    )


def _type_message(each: TypeHistory, performance: Performance) -> performance_pb2.TaskTypePerformance:
    message = performance_pb2.TaskTypePerformance(
        task_type=each.task_type,
        succeeded=each.succeeded,
        failed=each.failed,
        success_ratio=each.success_ppm / _MILLION,
        score=performance.score(each) / _MILLION,
        efficiency=performance.efficiency(each) / _MILLION,
        measures=[_measure_message(measure.name, [measure]) for measure in each.measures],
    )
    if each.average_micros:
        average = Duration()
        average.FromMicroseconds(each.average_micros)
        message.average_duration.CopyFrom(average)
    return message

"""Performance and history, contract to domain and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.registry.v1 import agent_pb2, performance_pb2
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.history import Transition
from tercio_registry.state.performance import Performance, TypeHistory
from tercio_registry.state.session import Session
from tercio_registry.state.totals import MOST_TOTAL, MOST_TYPES, Totals

_MILLION = 1_000_000


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


def totals_of(totals: performance_pb2.TaskTotals) -> dict[str, Totals]:
    """Return checked totals by type."""
    columns = zip(totals.succeeded, totals.failed, totals.run_micros, strict=True)
    return {name: Totals(*column) for name, column in zip(totals.task_types, columns, strict=True)}


def performance_message(
    row: AgentRow, performance: Performance, session: Session, *, only: str = ""
) -> performance_pb2.AgentPerformance:
    """Return what an agent does and how well, of all types or `only` of one."""
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
    )
    if each.average_micros:
        average = Duration()
        average.FromMicroseconds(each.average_micros)
        message.average_duration.CopyFrom(average)
    return message

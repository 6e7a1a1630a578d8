"""Reports and reasons of health, between contract and state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import health_pb2 as pb
from tercio_registry.state.agents import AgentRow, Health
from tercio_registry.state.views import Status
from tercio_registry.state.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_LAG_MS = 3_600_000


def vitals_of(report: pb.HealthReport) -> Vitals:
    """Return what an agent reports. A number that makes no sense is taken as not given: a renewal is never refused."""
    cpu = report.cpu_ratio
    return Vitals(
        cpu if math.isfinite(cpu) and cpu > 0 else 0.0,
        report.memory_used_bytes,
        report.memory_limit_bytes,
        report.disk_used_bytes,
        report.disk_total_bytes,
        report.queue_length,
        report.queue_limit,
        report.failed_attempts,
        report.succeeded_attempts,
        min(max(report.loop_lag.seconds * 1000 + report.loop_lag.nanos // 1_000_000, 0), _MOST_LAG_MS),
    )


def report_of(vitals: Vitals | None) -> pb.HealthReport | None:
    """Return a report as the contract has it."""
    if vitals is None:
        return None
    report = pb.HealthReport(
        cpu_ratio=vitals.cpu_ratio,
        memory_used_bytes=vitals.memory_used,
        memory_limit_bytes=vitals.memory_limit,
        disk_used_bytes=vitals.disk_used,
        disk_total_bytes=vitals.disk_total,
        queue_length=vitals.queue_length,
        queue_limit=vitals.queue_limit,
        failed_attempts=vitals.failed,
        succeeded_attempts=vitals.succeeded,
    )
    report.loop_lag.FromMilliseconds(vitals.loop_lag)
    return report


def status_of(status: Status) -> agent_pb2.AgentStatus:
    """Return a status as the contract has it."""
    seconds, rest = divmod(status.wall, 1000)
    availability = (
        agent_pb2.AgentStatus.AVAILABILITY_AVAILABLE
        if status.available
        else agent_pb2.AgentStatus.AVAILABILITY_UNAVAILABLE
    )
    return agent_pb2.AgentStatus(
        availability=availability,
        health=status.health,
        load=status.load,
        time=Timestamp(seconds=seconds, nanos=rest * 1_000_000),
    )


def reasons_of(row: AgentRow) -> Iterator[pb.HealthReason.ValueType]:
    """Give everything that is wrong with an agent."""
    if row.regularity is not Health.HEALTHY:
        yield pb.HEALTH_REASON_MISSED_HEARTBEATS
    for ailment in row.ailments:
        yield cast("pb.HealthReason.ValueType", int(ailment))

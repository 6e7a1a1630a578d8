"""Usage, predictions and proposals: contract to domain and back."""

from __future__ import annotations

from typing import Final, cast

from tercio.api.resources.v1 import forecast_pb2, usage_pb2
from tercio.api.resources.v1 import usage_service_pb2 as pb
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.fields import page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_resources.state.commands import Kind, Optimize, ReportUsage, UsageReport
from tercio_resources.state.forecast import Forecast
from tercio_resources.state.optimisation import Proposal
from tercio_resources.state.pools import PoolsByDimension
from tercio_resources.state.prediction import Prediction
from tercio_resources.state.rows import MOST_ITEMS, UsageRow
from tercio_resources.state.usage import Efficiency
from tercio_resources.translate.allocations import check_owner
from tercio_resources.translate.fields import amount_messages, amounts_of, labels_of

_LABELS: Final = 8
"""Kept of a report: every past task has its own."""


def report_command(request: pb.ReportUsageRequest) -> ReportUsage:
    """Translate reports. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    found.check_length("reports", request.reports, least=1, most=MOST_ITEMS, unit="reports")
    reports = []
    for index, each in enumerate(request.reports):
        path = f"reports[{index}]"
        found.check_id(f"{path}.task_type", each.task_type, optional=True)
        used = amounts_of(f"{path}.used", each.used, found, least=0, fewest=1)
        labels = labels_of(f"{path}.labels", each.labels, found)
        if each.owner:
            check_owner(f"{path}.owner", each.owner, found)
            found.check(f"{path}.allocation_id", not each.allocation_id, "excludes `owner`: name one of them")
        reports.append(UsageReport(each.allocation_id, used, each.task_type, labels[:_LABELS], each.owner))
    found.raise_if_any()
    return ReportUsage(tuple(reports))


def optimize_command(request: pb.OptimizeRequest) -> Optimize:
    """Translate what to look for."""
    found = Violations()
    known = [int(kind) for kind in Kind]
    for index, kind in enumerate(request.kinds):
        found.check_one_of(f"kinds[{index}]", kind, known)
    found.raise_if_any()
    return Optimize(tuple(Kind(kind) for kind in request.kinds)) if request.kinds else Optimize()


def task_asked(request: pb.GetPredictionRequest) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the type and the labels of a task."""
    found = Violations()
    found.check_id("task_type", request.task_type)
    labels = labels_of("labels", request.labels, found)
    found.raise_if_any()
    return request.task_type, labels


def page_size(request: pb.ListUsagesRequest | pb.ListForecastsRequest) -> int:
    """Return the page size of a list."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return size


def usage_message(row: UsageRow, owner: str) -> usage_pb2.Usage:
    """Return a usage as the contract has it."""
    return usage_pb2.Usage(
        allocation_id=row.number,
        owner=owner,
        task_type=row.task_type,
        labels=dict(row.labels),
        parts=[
            usage_pb2.Usage.Part(dimension=each.dimension, granted=each.granted, used=each.last, peak=each.peak)
            for each in row.used
        ],
        report_count=row.reports,
        report_time=timestamp(row.last_wall),
    )


def efficiency_message(each: Efficiency, *, target: int) -> usage_pb2.Efficiency:
    """Return an efficiency as the contract has it; the target is in thousandths."""
    return usage_pb2.Efficiency(
        dimension=each.dimension,
        granted=each.granted,
        used=each.used,
        per_mille=each.per_mille,
        below_target=each.per_mille < target,
    )


def prediction_message(prediction: Prediction, units: PoolsByDimension) -> usage_pb2.Prediction:
    """Return a prediction as the contract has it."""
    return usage_pb2.Prediction(
        amounts=amount_messages([(name, amount, units.unit(name)) for name, amount in prediction.amounts]),
        task_count=prediction.tasks,
        error_per_mille=prediction.error,
    )


def forecast_message(each: Forecast, at: Moment) -> forecast_pb2.Forecast:
    """Return a forecast as the contract has it."""
    return forecast_pb2.Forecast(
        pool_id=each.pool.pool_id,
        unit=each.pool.unit,
        grantable=each.grantable,
        granted=each.granted,
        growth_per_hour=each.growth,
        exhaust_time=None if each.exhausted_in is None else timestamp(at.wall + each.exhausted_in),
        sample_count=each.samples,
    )


def proposal_message(proposal: Proposal, units: PoolsByDimension) -> usage_pb2.Proposal:
    """Return a proposal as the contract has it."""
    part = proposal.part
    (freed,) = amount_messages([(part.dimension, part.amount, units.unit(part.dimension))])
    return usage_pb2.Proposal(
        kind=cast("usage_pb2.Proposal.Kind.ValueType", int(proposal.kind)),
        allocation_id=proposal.number,
        owner=proposal.owner,
        pool_id=part.pool_id,
        to_pool_id=proposal.to_pool_id,
        freed=freed,
        reason=proposal.reason,
    )

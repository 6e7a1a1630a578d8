"""Forecasts and how the scaling of a pool goes: domain to contract."""

from __future__ import annotations

from tercio.api.scaling.v1 import forecast_pb2, scaling_metrics_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.rpc.fields import duration, timestamp
from tercio_common.rpc.violations import Violations
from tercio_scaling.state.forecasting import INTERVAL_MS, SEASON
from tercio_scaling.state.foresight import Foresight
from tercio_scaling.state.performance import Performance


def asked_of(request: pb.GetForecastRequest) -> tuple[str, int]:
    """Return of which pool, and how many intervals ahead; 0 for as far as agents take to start."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    found.check_range("interval_count", request.interval_count, least=0, most=SEASON)
    found.raise_if_any()
    return request.pool_id, request.interval_count


def measured_of(request: pb.GetScalingMetricsRequest) -> str:
    """Return of which pool; empty for each."""
    found = Violations()
    found.check_id("pool_id", request.pool_id, optional=True)
    found.raise_if_any()
    return request.pool_id


def forecast_message(shown: Foresight) -> forecast_pb2.Forecast:
    """Return a forecast as the contract has it."""
    point = forecast_pb2.Forecast.Point
    known = shown.known
    return forecast_pb2.Forecast(
        pool_id=shown.pool_id,
        interval=duration(INTERVAL_MS),
        points=[
            point(
                end_time=timestamp(each.end_wall),
                expected_count=each.expected if each.expected >= 0 else None,
                plain_count=each.plain if each.plain >= 0 else None,
                actual_count=each.actual if each.actual >= 0 else None,
            )
            for each in shown.points
        ],
        mean_error=known.error,
        plain_mean_error=known.plain_error,
        compared_count=known.compared,
        trusted=shown.trusted,
        seasonal=bool(known.season),
        startup_time=duration(shown.startup),
        foreseen_slots=shown.foreseen if shown.foreseen >= 0 else None,
    )


def metrics_message(each: Performance) -> scaling_metrics_pb2.ScalingMetrics:
    """Return how the scaling of a pool goes as the contract has it."""
    return scaling_metrics_pb2.ScalingMetrics(
        pool_id=each.pool_id,
        desired_count=each.decided,
        ready_count=each.ready,
        utilisation=each.running / each.slots if each.slots else 0,
        up_count=each.ups,
        down_count=each.downs,
        refused_count=each.refused,
        flap_count=each.flaps,
        wrong_agent_count=each.wrong,
        drain_limit_count=each.overdue,
        mean_response_time=duration(sum(each.responses) // len(each.responses)) if each.responses else None,
        max_response_time=duration(max(each.responses)) if each.responses else None,
        startup_time=duration(each.startup) if each.startup else None,
        cost_micros_per_hour=each.cost,
    )

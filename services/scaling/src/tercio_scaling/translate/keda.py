"""What KEDA asks for and is told: its contract to domain and back.

The one metric is the number of agents that a pool is to have, and its target is 1: Kubernetes divides the two, so it
keeps as many Pods as were decided here.
"""

from __future__ import annotations

from typing import Final

from externalscaler import externalscaler_pb2 as pb
from tercio_common.rpc.violations import Violations

METRIC: Final = "tercio-agents"
POOL_ID: Final = "poolId"
"""Key of the trigger's metadata that names the pool."""
_TARGET: Final = 1


def pool_id_of(reference: pb.ScaledObjectRef, *, field: str = "scalerMetadata") -> str:
    """Return of which pool is asked."""
    found = Violations()
    found.check_id(f"{field}[{POOL_ID}]", reference.scalerMetadata.get(POOL_ID, ""))
    found.raise_if_any()
    return reference.scalerMetadata[POOL_ID]


def measured_of(request: pb.GetMetricsRequest) -> str:
    """Return of which pool the metric is asked."""
    found = Violations()
    found.check("metricName", request.metricName == METRIC, f"must be {METRIC}, is {request.metricName!r:.100}")
    found.raise_if_any()
    return pool_id_of(request.scaledObjectRef, field="scaledObjectRef.scalerMetadata")


def activity(active: bool) -> pb.IsActiveResponse:
    """Tell whether there are to be any agents."""
    return pb.IsActiveResponse(result=active)


def metric_spec() -> pb.GetMetricSpecResponse:
    """Name the metric and its target."""
    spec = pb.MetricSpec(metricName=METRIC, targetSize=_TARGET, targetSizeFloat=_TARGET)
    return pb.GetMetricSpecResponse(metricSpecs=[spec])


def metric(agents: int) -> pb.GetMetricsResponse:
    """Tell how many agents there are to be."""
    value = pb.MetricValue(metricName=METRIC, metricValue=agents, metricValueFloat=agents)
    return pb.GetMetricsResponse(metricValues=[value])

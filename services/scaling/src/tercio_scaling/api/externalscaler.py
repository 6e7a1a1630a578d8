"""KEDA's ExternalScaler: a cluster that has KEDA is scaled by it, by the numbers that are decided here.

It answers from the committed state alone, so an outage of the scheduler or the registry leaves the number where it was;
while no replica leads KEDA gets an error, upon which it changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final, cast

import grpc

from externalscaler import externalscaler_pb2 as pb
from externalscaler.externalscaler_pb2_grpc import ExternalScalerServicer
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.authorisation import Rule
from tercio_common.rpc.present import follow
from tercio_scaling import metrics
from tercio_scaling.state.declaring import present
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.session import Session
from tercio_scaling.translate import keda

Context = grpc.aio.ServicerContext[Any, Any]
NAME: Final = "externalscaler.ExternalScaler"
RULES: Final = {
    f"/{NAME}/{method}": Rule.ANY_PRINCIPAL
    for method in ("IsActive", "StreamIsActive", "GetMetricSpec", "GetMetrics", "StreamMetricSpec")
}


class ExternalScaler(ExternalScalerServicer):
    """See KEDA's contract for what each method does."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def IsActive(self, request: pb.ScaledObjectRef, context: Context) -> pb.IsActiveResponse:
        return keda.activity(await self._agents(keda.pool_id_of(request)) > 0)

    def StreamIsActive(self, request: pb.ScaledObjectRef, context: Context) -> AsyncIterator[pb.IsActiveResponse]:
        return self._follow(keda.pool_id_of(request), by=lambda agents: agents > 0, show=keda.activity)

    async def GetMetricSpec(self, request: pb.ScaledObjectRef, context: Context) -> pb.GetMetricSpecResponse:
        await self._agents(keda.pool_id_of(request))
        return keda.metric_spec()

    async def GetMetrics(self, request: pb.GetMetricsRequest, context: Context) -> pb.GetMetricsResponse:
        return keda.metric(await self._agents(keda.measured_of(request)))

    def StreamMetricSpec(
        self, request: pb.ScaledObjectRef, context: Context
    ) -> AsyncIterator[pb.GetMetricSpecResponse]:
        return self._follow(keda.pool_id_of(request), by=lambda _agents: True, show=lambda _same: keda.metric_spec())

    async def _agents(self, pool_id: str) -> int:
        """Return how many agents a pool is to have."""

        def look(machine: ScalingMachine, _session: Session, _at: Moment) -> int:
            return _decided(pool_id, machine)

        return await self._host.read(look)

    async def _follow(
        self, pool_id: str, *, by: Callable[[int], bool], show: Callable[[bool], Any]
    ) -> AsyncIterator[Any]:
        """Give what is shown of a pool, at once and whenever `by` its number of agents it is another thing.

        Raises:
            Refusal: POOL_NOT_FOUND, also once the pool is no more; READER_TOO_SLOW, or the leadership ended.
        """
        term = self._host.term
        machine = cast(ScalingMachine, term.machine)

        def now() -> dict[str, bool]:
            return {pool_id: by(_decided(pool_id, machine))}

        seen = follow(term, present=now, show=show, watches=metrics.WATCHES.labels("keda"))
        async with aclosing(seen) as changes:
            async for each in changes:
                for told in each.changed:
                    yield told


def _decided(pool_id: str, machine: ScalingMachine) -> int:
    present(pool_id, machine.tables)
    return machine.tables.states[pool_id].decided

"""StrategyService: thin."""

from __future__ import annotations

from typing import Any, cast

import grpc

from tercio.api.resources.v1 import strategy_pb2
from tercio.api.resources.v1 import strategy_service_pb2 as pb
from tercio.api.resources.v1 import strategy_service_pb2_grpc as rpc
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.calls import call_of
from tercio_common.rpc.violations import Violations
from tercio_resources.state import strategies
from tercio_resources.state.commands import SetStrategy
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.rows import StrategyRow
from tercio_resources.state.session import Session
from tercio_resources.state.strategies import Subject

Context = grpc.aio.ServicerContext[Any, Any]


class StrategyServicer(rpc.StrategyServiceServicer):
    """See the contract for what each method does."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def SetStrategy(self, request: pb.SetStrategyRequest, context: Context) -> Any:
        found = Violations()
        found.check_one_of("subject", request.subject, [int(subject) for subject in Subject])
        found.check_id("name", request.name)
        found.raise_if_any()
        command = SetStrategy(StrategyRow(request.subject, request.name))
        return await self._host.execute(command, call=call_of(request, context), render=lambda _: b"")

    async def ListStrategies(self, request: pb.ListStrategiesRequest, context: Context) -> pb.ListStrategiesResponse:
        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListStrategiesResponse:
            return pb.ListStrategiesResponse(
                strategies=[message for subject in Subject for message in _messages(subject, machine)]
            )

        return await self._host.read(look)


def _messages(subject: Subject, machine: ResourcesMachine) -> list[strategy_pb2.Strategy]:
    known = strategies.catalogue(subject, machine.rules)
    in_use = strategies.in_use(subject, machine.tables.strategies, machine.rules)
    return [
        strategy_pb2.Strategy(
            subject=cast("strategy_pb2.Strategy.Subject.ValueType", int(subject)),
            name=name,
            description=known.description(name),
            in_use=name == in_use,
        )
        for name in known.names
    ]

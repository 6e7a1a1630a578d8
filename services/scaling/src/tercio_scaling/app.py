"""The composition root of the scaling service."""

from __future__ import annotations

from dataclasses import replace

import grpc

from tercio.api.scaling.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from tercio_common.composition import Ports, Service
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_scaling.api.audit import AuditServicer
from tercio_scaling.codec import ScalingCodec
from tercio_scaling.settings import ScalingSettings
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.session import Session

NAME = "scaling"
SCALING = "tercio.api.scaling.v1.ScalingService"
AUDIT = "tercio.api.scaling.v1.AuditService"
RULES = {
    f"/{SCALING}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "ApplyPool",
        "DeletePool",
        "GetPool",
        "ListPools",
        "WatchPools",
        "EvaluatePool",
        "ScalePool",
        "SurgePool",
        "EndSurge",
        "CoordinateScaling",
        "ListScalingEvents",
        "WatchScalingEvents",
        "GetForecast",
        "GetScalingMetrics",
        "ApplyBudget",
        "DeleteBudget",
        "ListBudgets",
    )
}
RULES[f"/{AUDIT}/ListAuditEvents"] = Rule.ANY_PRINCIPAL


def build(ports: Ports) -> Service:
    """Compose one replica of the scaling service; nothing runs yet."""
    settings = ports.settings or ScalingSettings()
    rules = settings.rules()
    host = Host(
        name=NAME,
        machine=lambda: ScalingMachine(replace(rules, max_live_bytes=host.budget.live_bytes)),
        session=lambda _epoch: Session(),
        codec=ScalingCodec(),
        journal=ports.journal,
        election=ports.election,
        clock=ports.clock,
        settings=ports.host_settings,
        address=ports.address,
        effects=(),
    )

    def add_to_server(server: grpc.aio.Server) -> None:
        add_AuditServiceServicer_to_server(AuditServicer(host), server)

    return Service(name=NAME, host=host, add_to_server=add_to_server, full_names=(SCALING, AUDIT), rules=RULES)

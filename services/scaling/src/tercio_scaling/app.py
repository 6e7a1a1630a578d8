"""The composition root of the scaling service."""

from __future__ import annotations

from dataclasses import replace

import grpc

from externalscaler.externalscaler_pb2_grpc import add_ExternalScalerServicer_to_server
from tercio.api.scaling.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from tercio.api.scaling.v1.scaling_service_pb2_grpc import add_ScalingServiceServicer_to_server
from tercio_common.composition import Ports, Service
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_scaling.api import externalscaler
from tercio_scaling.api.audit import AuditServicer
from tercio_scaling.api.scaling import ScalingServicer
from tercio_scaling.api.settling import Settling
from tercio_scaling.codec import ScalingCodec
from tercio_scaling.drivers.catalogue import Drivers
from tercio_scaling.effects.cordon import Cordoning
from tercio_scaling.effects.observe import Observing
from tercio_scaling.effects.reconcile import Reconciling
from tercio_scaling.effects.report_events import report_events
from tercio_scaling.effects.show import show
from tercio_scaling.settings import ScalingSettings
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.session import Session
from tercio_scaling.triggers import installed_triggers

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


def build(ports: Ports, *, drivers: Drivers | None = None) -> Service:
    """Compose one replica of the scaling service, with the installed drivers by default; nothing runs yet."""
    settings: ScalingSettings = ports.settings or ScalingSettings()
    settings = settings.model_copy(update={"local": settings.local.reaching(ports.peers.addresses)})
    rules = replace(settings.rules(), triggers=installed_triggers())
    observing = Observing(
        ports.peers, every_ms=settings.observe_ms, settle_ms=settings.settle_ms, stale_ms=settings.stale_ms
    )
    reconciling = Reconciling(
        drivers or Drivers(settings, ports.clock), observing, every_ms=settings.observe_ms, check_ms=settings.check_ms
    )
    cordoning = Cordoning(ports.peers, observing.registry)
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
        effects=(
            observing.queues,
            observing.agents,
            observing.tell,
            reconciling.run,
            cordoning.run,
            show,
            report_events,
        ),
    )
    settling = Settling(host)
    host.on_commit(settling.committed)
    for effect in (observing, reconciling, cordoning):
        host.on_commit(effect.committed)

    def add_to_server(server: grpc.aio.Server) -> None:
        add_ScalingServiceServicer_to_server(ScalingServicer(host, settling=settling), server)
        add_AuditServiceServicer_to_server(AuditServicer(host), server)
        add_ExternalScalerServicer_to_server(externalscaler.ExternalScaler(host), server)

    return Service(
        name=NAME,
        host=host,
        add_to_server=add_to_server,
        full_names=(SCALING, AUDIT, externalscaler.NAME),
        rules=RULES | externalscaler.RULES,
    )

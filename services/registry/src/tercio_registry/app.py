"""The registry's composition root."""

from __future__ import annotations

from dataclasses import replace

import grpc

from tercio.api.registry.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from tercio.api.registry.v1.config_service_pb2_grpc import add_ConfigServiceServicer_to_server
from tercio.api.registry.v1.performance_service_pb2_grpc import add_PerformanceServiceServicer_to_server
from tercio.api.registry.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server
from tercio_common.composition import Ports, Service
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_registry.api.agents import RegistryServicer
from tercio_registry.api.audit import AuditServicer
from tercio_registry.api.config import ConfigServicer
from tercio_registry.api.deregistration import Deregistering
from tercio_registry.api.link import Link
from tercio_registry.api.performance import PerformanceServicer
from tercio_registry.api.registration import Registering
from tercio_registry.api.watching import Watching
from tercio_registry.codec import RegistryCodec
from tercio_registry.effects.confirm import confirm
from tercio_registry.effects.flush_performance import flush_performance
from tercio_registry.effects.listen import listen
from tercio_registry.effects.measure import measure
from tercio_registry.effects.push import push
from tercio_registry.effects.reserve import RESOURCES, ResourceReservations
from tercio_registry.effects.send_canaries import send_canaries
from tercio_registry.effects.show_agents import show_agents
from tercio_registry.effects.undo import Undoing
from tercio_registry.ports import Outside
from tercio_registry.settings import RegistrySettings
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.session import Session

NAME = "registry"
FULL_NAME = "tercio.api.registry.v1.RegistryService"
AUDIT = "tercio.api.registry.v1.AuditService"
CONFIG = "tercio.api.registry.v1.ConfigService"
PERFORMANCE = "tercio.api.registry.v1.PerformanceService"
RULES = {
    f"/{FULL_NAME}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "RegisterAgent",
        "DeregisterAgent",
        "Heartbeat",
        "GetAgent",
        "ListAgents",
        "WatchAgents",
        "CordonAgent",
        "DrainAgent",
    )
} | {f"/{FULL_NAME}/{method}": Rule.REPLICA for method in ("WatchSystemTasks", "ReportSystemTasks")}
RULES[f"/{AUDIT}/ListAuditEvents"] = Rule.ANY_PRINCIPAL
RULES |= {
    f"/{CONFIG}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "UpdateConfig",
        "RollbackConfig",
        "GetConfig",
        "ListConfigRevisions",
        "GetConfigDiff",
        "SetConfigSchema",
        "GetConfigSchema",
        "StartRollout",
        "GetRollout",
        "ListRollouts",
        "PauseRollout",
        "CancelRollout",
    )
}
RULES |= {f"/{PERFORMANCE}/{method}": Rule.ANY_PRINCIPAL for method in ("GetAgentPerformance", "ListAgentPerformance")}


def build(ports: Ports, *, outside: Outside | None = None) -> Service:
    """Compose one replica of the registry; nothing runs yet.

    When agents register it asks `outside`, by default the resources service for reservations, if the fleet has one.
    """
    settings: RegistrySettings = ports.settings or RegistrySettings()
    rules = settings.rules()
    reservations = ResourceReservations(ports.peers, settings=settings.reservations)
    if outside is None:
        outside = Outside(reservations=reservations) if ports.peers.has(RESOURCES) else Outside()
    link, undoing = Link(rules), Undoing(outside)
    histories = (
        flush_performance(settings.performance_flush_ms, link),
        show_agents(rules, most=settings.agent_series),
    )
    host = Host(
        name=NAME,
        machine=lambda: RegistryMachine(replace(rules, max_live_bytes=host.budget.live_bytes)),
        session=lambda _epoch: Session(rules),
        codec=RegistryCodec(),
        journal=ports.journal,
        election=ports.election,
        clock=ports.clock,
        settings=ports.host_settings,
        address=ports.address,
        effects=(
            listen(rules),
            confirm(link),
            push(link),
            reservations.run,
            undoing.run,
            measure,
            send_canaries(rules),
            *histories,
        ),
    )
    host.on_commit(undoing.wake)
    servicer = RegistryServicer(
        host,
        registering=Registering(host, rules=rules, ids=ports.ids, outside=outside, undoing=undoing),
        deregistering=Deregistering(host, rules=rules, undoing=undoing),
        link=link,
        watching=Watching(host),
    )

    def add_to_server(server: grpc.aio.Server) -> None:
        add_RegistryServiceServicer_to_server(servicer, server)
        add_AuditServiceServicer_to_server(AuditServicer(host), server)
        add_ConfigServiceServicer_to_server(ConfigServicer(host, ids=ports.ids), server)
        performance = PerformanceServicer(host, dimensions=settings.reservations.dimensions)
        add_PerformanceServiceServicer_to_server(performance, server)

    names = (FULL_NAME, AUDIT, CONFIG, PERFORMANCE)
    return Service(name=NAME, host=host, add_to_server=add_to_server, full_names=names, rules=RULES)

"""The composition root of the conflicts service."""

from __future__ import annotations

from dataclasses import replace

import grpc

from tercio.api.conflicts.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from tercio.api.conflicts.v1.claim_service_pb2_grpc import add_ClaimServiceServicer_to_server
from tercio_common.composition import Ports, Service
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_conflicts.api.acquiring import Acquiring
from tercio_conflicts.api.audit import AuditServicer
from tercio_conflicts.api.claims import ClaimServicer
from tercio_conflicts.codec import ConflictsCodec
from tercio_conflicts.effects.break_deadlocks import break_deadlocks
from tercio_conflicts.effects.listen import listen
from tercio_conflicts.settings import ConflictsSettings
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.session import Session

NAME = "conflicts"
CLAIMS = "tercio.api.conflicts.v1.ClaimService"
AUDIT = "tercio.api.conflicts.v1.AuditService"
RULES = {
    f"/{CLAIMS}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "AcquireClaims",
        "RenewClaims",
        "ReleaseClaims",
        "TransferClaims",
        "RequestRelease",
        "CheckClaims",
        "CheckTokens",
        "GetClaim",
        "ListClaims",
        "WatchClaims",
    )
}
RULES[f"/{AUDIT}/ListAuditEvents"] = Rule.ANY_PRINCIPAL


def build(ports: Ports) -> Service:
    """Compose one replica of the conflicts service; nothing runs yet."""
    settings = ports.settings or ConflictsSettings()
    # A grant may be on its way for as long as its request id is kept: so long is its owner barred.
    rules = replace(settings.rules(), tombstone=ports.host_settings.request_window_ms)
    acquiring = Acquiring()
    host = Host(
        name=NAME,
        machine=lambda: ConflictsMachine(replace(rules, max_live_bytes=host.budget.live_bytes)),
        session=lambda _epoch: Session(rules),
        codec=ConflictsCodec(),
        journal=ports.journal,
        election=ports.election,
        clock=ports.clock,
        settings=ports.host_settings,
        address=ports.address,
        effects=(listen(acquiring), break_deadlocks(acquiring, every_ms=settings.detect_ms)),
    )
    host.on_commit(acquiring.serve_waiting)
    servicer = ClaimServicer(host, acquiring=acquiring)

    def add_to_server(server: grpc.aio.Server) -> None:
        add_ClaimServiceServicer_to_server(servicer, server)
        add_AuditServiceServicer_to_server(AuditServicer(host), server)

    return Service(name=NAME, host=host, add_to_server=add_to_server, full_names=(CLAIMS, AUDIT), rules=RULES)

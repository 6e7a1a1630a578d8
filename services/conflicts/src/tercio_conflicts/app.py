"""The composition root of the conflicts service."""

from __future__ import annotations

from dataclasses import replace

import grpc

from tercio.api.conflicts.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from tercio.api.conflicts.v1.claim_service_pb2_grpc import add_ClaimServiceServicer_to_server
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import add_ConflictServiceServicer_to_server
from tercio.api.conflicts.v1.decision_service_pb2_grpc import add_DecisionServiceServicer_to_server
from tercio_common.composition import Ports, Service
from tercio_common.machine.delivery import Delivery
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_conflicts.api.acquiring import Acquiring
from tercio_conflicts.api.audit import AuditServicer
from tercio_conflicts.api.claims import ClaimServicer
from tercio_conflicts.api.conflicts import ConflictServicer
from tercio_conflicts.api.decisions import DecisionServicer
from tercio_conflicts.api.ending import Endings
from tercio_conflicts.codec import ConflictsCodec
from tercio_conflicts.detectors import installed_detectors
from tercio_conflicts.dispute_settings import DisputeSettings
from tercio_conflicts.effects.attend import Attending
from tercio_conflicts.effects.break_deadlocks import break_deadlocks
from tercio_conflicts.effects.listen import listen
from tercio_conflicts.effects.notify_webhook import notify_webhook
from tercio_conflicts.effects.report_outcomes import report_outcomes
from tercio_conflicts.settings import ConflictsSettings
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.session import Session

NAME = "conflicts"
CLAIMS = "tercio.api.conflicts.v1.ClaimService"
CONFLICTS = "tercio.api.conflicts.v1.ConflictService"
DECISIONS = "tercio.api.conflicts.v1.DecisionService"
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
RULES |= {
    f"/{DECISIONS}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "PostDecisions",
        "WithdrawDecision",
        "GetDecision",
        "ListDecisions",
        "CheckDecision",
        "SetFamily",
        "DeleteFamily",
        "ListFamilies",
        "SetPrecedent",
        "DeletePrecedent",
        "ListPrecedents",
    )
}
RULES |= {
    f"/{CONFLICTS}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "ReportConflict",
        "CheckConflicts",
        "GetConflict",
        "ListConflicts",
        "WatchConflicts",
        "ResolveConflict",
        "EscalateConflict",
        "ListPatterns",
        "ReportWork",
        "WatchActions",
        "ReportActions",
        "WatchSystemTasks",
        "ReportSystemTasks",
    )
}
RULES[f"/{AUDIT}/ListAuditEvents"] = Rule.ANY_PRINCIPAL


def build(ports: Ports) -> Service:
    """Compose one replica of the conflicts service; nothing runs yet."""
    settings = ports.settings or ConflictsSettings()
    # A grant may be on its way for as long as its request id is kept: so long is its owner barred.
    rules = replace(settings.rules(), tombstone=ports.host_settings.request_window_ms)
    dispute_rules = settings.disputes.rules(installed_detectors())
    acquiring, attending = Acquiring(), Attending()
    webhooks = _webhooks(settings.disputes)
    host = Host(
        name=NAME,
        machine=lambda: ConflictsMachine(replace(rules, max_live_bytes=host.budget.live_bytes), dispute_rules),
        session=lambda _epoch: Session(rules),
        codec=ConflictsCodec(),
        journal=ports.journal,
        election=ports.election,
        clock=ports.clock,
        settings=ports.host_settings,
        address=ports.address,
        effects=(
            listen(acquiring),
            break_deadlocks(acquiring, every_ms=settings.detect_ms),
            attending.effect(every_ms=settings.disputes.look_ms),
            report_outcomes,
            *(webhook.run for webhook in webhooks),
        ),
    )
    host.on_commit(acquiring.serve_waiting)
    endings = Endings(host)
    host.on_commit(endings.committed)
    host.on_commit(lambda _: attending.committed(host))
    for webhook in webhooks:
        host.on_commit(webhook.committed)
    servicer = ClaimServicer(host, acquiring=acquiring)

    def add_to_server(server: grpc.aio.Server) -> None:
        add_ClaimServiceServicer_to_server(servicer, server)
        add_DecisionServiceServicer_to_server(DecisionServicer(host, attending=attending), server)
        add_ConflictServiceServicer_to_server(ConflictServicer(host, attending=attending, endings=endings), server)
        add_AuditServiceServicer_to_server(AuditServicer(host), server)

    names = (CLAIMS, DECISIONS, CONFLICTS, AUDIT)
    return Service(name=NAME, host=host, add_to_server=add_to_server, full_names=names, rules=RULES)


def _webhooks(settings: DisputeSettings) -> tuple[Delivery, ...]:
    if settings.webhook_url is None:
        return ()
    secret = settings.webhook_secret.get_secret_value()
    return (notify_webhook(str(settings.webhook_url), secret=secret, timeout_ms=settings.webhook_timeout_ms),)

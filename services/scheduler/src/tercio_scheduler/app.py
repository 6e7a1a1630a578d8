"""The scheduler's composition root."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import grpc

from tercio.api.scheduler.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from tercio.api.scheduler.v1.plan_service_pb2_grpc import add_PlanServiceServicer_to_server
from tercio.api.scheduler.v1.queue_service_pb2_grpc import add_QueueServiceServicer_to_server
from tercio.api.scheduler.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from tercio.api.scheduler.v1.work_service_pb2_grpc import add_WorkServiceServicer_to_server
from tercio_common.composition import Ports, Service
from tercio_common.machine.delivery import Delivery
from tercio_common.machine.host import Host
from tercio_common.peers import Peers
from tercio_common.rpc.authorisation import Rule
from tercio_scheduler import metrics
from tercio_scheduler.api.agent_streams import AgentStreams
from tercio_scheduler.api.audit import AuditServicer
from tercio_scheduler.api.plans import PlanServicer
from tercio_scheduler.api.queues import QueueServicer
from tercio_scheduler.api.streams import OpenStreams
from tercio_scheduler.api.submission import Submissions
from tercio_scheduler.api.tasks import TaskServicer
from tercio_scheduler.api.watching import Watching
from tercio_scheduler.api.work import WorkServicer
from tercio_scheduler.codec import SchedulerCodec
from tercio_scheduler.effects.admit import Admitter
from tercio_scheduler.effects.count_queues import QueueCounter
from tercio_scheduler.effects.dispatch import Dispatcher
from tercio_scheduler.effects.follow_attempts import AttemptFollower
from tercio_scheduler.effects.measure import measure
from tercio_scheduler.effects.participants.conflicts import ConflictsParticipant
from tercio_scheduler.effects.participants.port import Participant
from tercio_scheduler.effects.participants.resources import ResourcesParticipant
from tercio_scheduler.effects.recall import Recaller
from tercio_scheduler.effects.renew_grants import GrantRenewal, releases_at
from tercio_scheduler.effects.report_work import WorkReporter
from tercio_scheduler.effects.run_system_tasks import SystemTaskRunner
from tercio_scheduler.effects.settle_conflicts import ConflictSettler
from tercio_scheduler.effects.system_task_sources import SOURCES
from tercio_scheduler.effects.watch_changes import ChangeWatch
from tercio_scheduler.effects.watch_registry import RegistryWatch
from tercio_scheduler.settings import SchedulerSettings
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.system_tasks import delivery_of

NAME: Final = "scheduler"
_PACKAGE: Final = "tercio.api.scheduler.v1"
_METHODS: Final = {
    f"{_PACKAGE}.TaskService": (
        "SubmitTasks",
        "SubmitStream",
        "GetTask",
        "ListTasks",
        "WatchTasks",
        "CancelTask",
        "RetryTask",
        "ExplainTask",
    ),
    f"{_PACKAGE}.PlanService": ("CreatePlan", "GetPlan", "ListPlans", "CancelPlan"),
    f"{_PACKAGE}.QueueService": ("GetQueueStats", "WatchQueueStats"),
    f"{_PACKAGE}.WorkService": ("Work",),
    f"{_PACKAGE}.AuditService": ("ListAuditEvents",),
}
RULES: Final = {
    f"/{service}/{method}": Rule.ANY_PRINCIPAL for service, methods in _METHODS.items() for method in methods
}


def build(ports: Ports) -> Service:
    """Compose one replica of the scheduler; nothing runs yet."""
    settings: SchedulerSettings = ports.settings or SchedulerSettings()
    streams, agents = OpenStreams(), AgentStreams()
    dispatcher, counter = Dispatcher(agents), QueueCounter()
    runners = {source.service: SystemTaskRunner(ports.peers, source) for source in SOURCES}
    participants = _participants(ports.peers, settings)
    admitter = Admitter(participants)
    releases = [releases_at(participant) for participant in participants]
    deliveries = [*releases, *(Delivery(delivery_of(name), runner.reports) for name, runner in runners.items())]
    host = Host(
        name=NAME,
        machine=lambda: SchedulerMachine(replace(settings.limits(), live_bytes=host.budget.live_bytes)),
        session=SchedulerSession,
        codec=SchedulerCodec(),
        journal=ports.journal,
        election=ports.election,
        clock=ports.clock,
        settings=ports.host_settings,
        address=ports.address,
        effects=(
            streams.end_with_leadership,
            AttemptFollower(agents, lease_ms=settings.attempt_lease_ms).run,
            dispatcher.run,
            Recaller(agents).run,
            *(runner.run for runner in runners.values()),
            ConflictSettler(ports.peers, agents).run,
            WorkReporter(ports.peers, interval_ms=settings.work_report_ms).run,
            admitter.run,
            GrantRenewal(participants, interval_ms=settings.grant_renewal_ms).run,
            *(ChangeWatch(participant, changed=admitter.poke).run for participant in participants),
            *(delivery.run for delivery in deliveries),
            RegistryWatch(ports.peers, changed=dispatcher.poke).run,
            counter.run,
            measure,
        ),
    )
    for listener in (
        dispatcher.committed,
        admitter.committed,
        streams.committed,
        *(delivery.committed for delivery in deliveries),
        metrics.count_commit,
    ):
        host.on_commit(listener)
    task_servicer = TaskServicer(
        host, ids=ports.ids, submissions=Submissions(host, streams=streams), watching=Watching(host)
    )
    plan_servicer = PlanServicer(host, ids=ports.ids)
    work_servicer = WorkServicer(host, streams=streams, agents=agents, dispatcher=dispatcher, settings=settings)

    def add_to_server(server: grpc.aio.Server) -> None:
        add_TaskServiceServicer_to_server(task_servicer, server)
        add_PlanServiceServicer_to_server(plan_servicer, server)
        add_QueueServiceServicer_to_server(QueueServicer(host, counter=counter), server)
        add_WorkServiceServicer_to_server(work_servicer, server)
        add_AuditServiceServicer_to_server(AuditServicer(host), server)

    return Service(name=NAME, host=host, add_to_server=add_to_server, full_names=tuple(_METHODS), rules=RULES)


def _participants(peers: Peers, settings: SchedulerSettings) -> tuple[Participant, ...]:
    """Return those of the participants that the fleet has, in the order in which they are asked."""
    known: tuple[Participant, ...] = (
        ConflictsParticipant(peers, owner_ttl_ms=settings.owner_ttl_ms),
        ResourcesParticipant(peers, owner_ttl_ms=settings.owner_ttl_ms),
    )
    return tuple(each for each in known if peers.has(each.name))

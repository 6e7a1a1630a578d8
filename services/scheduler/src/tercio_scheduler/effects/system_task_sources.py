"""The services that want agents to do something, as the scheduler serves them: all in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc

from tercio.api.conflicts.v1 import conflict_service_pb2
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceStub
from tercio.api.registry.v1 import registry_service_pb2
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemTaskSource:
    """A service with the calls WatchSystemTasks and ReportSystemTasks.

    Attributes:
        service: its name.
        stub: of that service.
        watch: makes the request of the watch.
        report: makes the request of the report.
    """

    service: str
    stub: Callable[[grpc.aio.Channel], Any]
    watch: Callable[..., Any]
    report: Callable[..., Any]


REGISTRY: Final = SystemTaskSource(
    service="registry",
    stub=RegistryServiceStub,
    watch=registry_service_pb2.WatchSystemTasksRequest,
    report=registry_service_pb2.ReportSystemTasksRequest,
)
"""Canaries and configurations."""
CONFLICTS: Final = SystemTaskSource(
    service="conflicts",
    stub=ConflictServiceStub,
    watch=conflict_service_pb2.WatchSystemTasksRequest,
    report=conflict_service_pb2.ReportSystemTasksRequest,
)
"""Questions about conflicts."""
SOURCES: Final = (REGISTRY, CONFLICTS)

"""AuditService: thin."""

from __future__ import annotations

from typing import Any

import grpc

from tercio.api.scaling.v1 import audit_service_pb2 as pb
from tercio.api.scaling.v1 import audit_service_pb2_grpc as rpc
from tercio_common.machine.host import Host
from tercio_common.rpc.audit import list_audit_events

Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(rpc.AuditServiceServicer):
    """See the contract."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Context) -> pb.ListAuditEventsResponse:
        return await list_audit_events(self._host, request, pb.ListAuditEventsResponse)

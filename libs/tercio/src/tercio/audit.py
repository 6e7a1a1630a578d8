"""Who changed what, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, Literal, NamedTuple

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.conflicts.v1 import audit_service_pb2 as conflicts_pb2
from tercio.api.conflicts.v1 import audit_service_pb2_grpc as conflicts_grpc
from tercio.api.registry.v1 import audit_service_pb2 as registry_pb2
from tercio.api.registry.v1 import audit_service_pb2_grpc as registry_grpc
from tercio.api.resources.v1 import audit_service_pb2 as resources_pb2
from tercio.api.resources.v1 import audit_service_pb2_grpc as resources_grpc
from tercio.api.scaling.v1 import audit_service_pb2 as scaling_pb2
from tercio.api.scaling.v1 import audit_service_pb2_grpc as scaling_grpc
from tercio.api.scheduler.v1 import audit_service_pb2 as scheduler_pb2
from tercio.api.scheduler.v1 import audit_service_pb2_grpc as scheduler_grpc
from tercio.api.type.v1.audit_event_pb2 import AuditEvent, AuditFilter
from tercio.rpc.channels import Route
from tercio.rpc.remote import Remote
from tercio.watching import Page, listed

AuditedService = Literal["conflicts", "registry", "resources", "scaling", "scheduler"]


class _Api(NamedTuple):
    stub: type
    request: type[Message]


_APIS: Final[dict[str, _Api]] = {
    "conflicts": _Api(conflicts_grpc.AuditServiceStub, conflicts_pb2.ListAuditEventsRequest),
    "registry": _Api(registry_grpc.AuditServiceStub, registry_pb2.ListAuditEventsRequest),
    "resources": _Api(resources_grpc.AuditServiceStub, resources_pb2.ListAuditEventsRequest),
    "scaling": _Api(scaling_grpc.AuditServiceStub, scaling_pb2.ListAuditEventsRequest),
    "scheduler": _Api(scheduler_grpc.AuditServiceStub, scheduler_pb2.ListAuditEventsRequest),
}
AUDITED: Final = tuple(_APIS)
"""Services that keep an audit trail."""


class AuditLog:
    """One service's audit trail."""

    def __init__(self, service: str, route: Route) -> None:
        """Read the trail of a service of `AUDITED`, found along the route."""
        self._api = _APIS[service]
        self._remote = Remote(route, self._api.stub)

    async def page(
        self, chosen: AuditFilter, token: str, *, size: int = 0, timeout_s: float | None = None
    ) -> Page[AuditEvent]:
        """Read one page; it may be empty although another follows. The empty token is the first page's."""
        request = self._api.request(page_size=size, page_token=token, filter=chosen)
        answer = await self._remote.unary(lambda stub: stub.ListAuditEvents, request, timeout_s=timeout_s)
        return Page(answer.events, answer.next_page_token, "")


class AuditCalls:
    """What a client asks about mutations. They come as the contract's own `AuditEvent` message."""

    _audit_logs: dict[str, AuditLog]

    def audit_events(
        self,
        service: AuditedService,
        *,
        principal: str = "",
        method: str = "",
        request_id: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[AuditEvent]:
        """Yield the mutations of a service, the newest first, page by page; every filter that is given must match.

        Args:
            service: whose.
            principal: only by this caller.
            method: only by this method, in full or its last part, as `CancelTask`.
            request_id: only of this request.
            since: not before this time, which has a time zone.
            until: before this time, which has a time zone.
        """
        log = self._audit_logs[service]
        chosen = audit_filter(principal=principal, method=method, request_id=request_id, since=since, until=until)
        return listed(lambda token: log.page(chosen, token))


def audit_filter(
    *, principal: str, method: str, request_id: str, since: datetime | None, until: datetime | None
) -> AuditFilter:
    """Return the contract's filter."""
    chosen = AuditFilter(principal=principal, method=method, request_id=request_id)
    for moment, field in ((since, chosen.start_time), (until, chosen.end_time)):
        if moment is not None:
            field.CopyFrom(_timestamp(moment))
    return chosen


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp

"""Ties logs and traces of one call together, across processes.

The client's `traceparent` is continued, its `tercio-request-id` kept or one made, and both are bound to every log line
of the call. The request id goes back in the trailing metadata, so that a caller can quote it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import structlog
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode, format_trace_id

from tercio_common.ids import IdSource
from tercio_common.rpc import metadata
from tercio_common.rpc.incoming import Incoming
from tercio_common.telemetry.traces import Traces

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_CALLERS_FAULT = frozenset(
    {"CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION"}
    | {"OUT_OF_RANGE", "UNAUTHENTICATED", "ABORTED"}
)
"""Codes that are no error of the server, as in OpenTelemetry's conventions for RPC."""


class Tracing:
    """See the module."""

    def __init__(self, traces: Traces, *, ids: IdSource) -> None:
        """Make spans with `traces` and request ids with `ids`."""
        self._traces = traces
        self._ids = ids

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Make the call's span the current one."""
        given = call.metadata.get(metadata.REQUEST_ID, "")
        call.request_id = given if given and _REQUEST_ID.fullmatch(given) else self._ids.new()
        call.trailing.append((metadata.REQUEST_ID, call.request_id))
        span = self._traces.start_span(
            f"{call.method.service}/{call.method.name}",
            carrier=call.metadata,
            attributes={"rpc.system": "grpc", "rpc.service": call.method.service, "rpc.method": call.method.name},
        )
        structlog.contextvars.bind_contextvars(
            request_id=call.request_id, trace_id=format_trace_id(span.get_span_context().trace_id)
        )
        # The task of a call handles no other, so nothing is set back.
        otel_context.attach(trace.set_span_in_context(span))
        try:
            yield
        finally:
            if span.is_recording():
                span.set_attribute("rpc.response.status_code", call.code)
                if call.code != "OK" and call.code not in _CALLERS_FAULT:
                    span.set_status(Status(StatusCode.ERROR, call.reason))
            span.end()

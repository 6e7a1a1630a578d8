"""Traces: trace ids for every call, spans only where there is somebody to send them to.

Nothing is set globally, so that several servers live in one process.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PROPAGATOR = TraceContextTextMapPropagator()
"""W3C Trace Context."""
_TRACEPARENT = "traceparent"
_IDS = RandomIdGenerator()
_SAMPLED = 0.01
"""Of calls whose client did not decide: a span costs about as much as ten log lines."""


class Traces:
    """Starts the span of each call, and exports the sampled ones if there is an endpoint."""

    def __init__(self, service: str, *, endpoint: str) -> None:
        """Export to an OTLP endpoint, `host:port` or a URL; with an empty one, only make ids."""
        self._provider = _exporting(service, endpoint) if endpoint else None
        self._tracer = self._provider.get_tracer("tercio") if self._provider else None

    def start_span(self, name: str, *, carrier: Mapping[str, str], attributes: Mapping[str, str]) -> Span:
        """Start a server's span that continues the trace of `carrier`, if that has one."""
        parent = PROPAGATOR.extract(carrier) if _TRACEPARENT in carrier else Context()
        if self._tracer is not None:
            return self._tracer.start_span(name, context=parent, kind=SpanKind.SERVER, attributes=attributes)
        # The library takes several times as long to make a span that nobody records; only its ids are needed.
        given = get_current_span(parent).get_span_context()
        trace_id = given.trace_id if given.is_valid else _IDS.generate_trace_id()
        flags = given.trace_flags if given.is_valid else TraceFlags()
        context = SpanContext(
            trace_id, _IDS.generate_span_id(), is_remote=False, trace_flags=flags, trace_state=given.trace_state
        )
        return NonRecordingSpan(context)

    def shutdown(self) -> None:
        """Export what is left, and end; takes seconds when nobody answers at the endpoint."""
        if self._provider is not None:
            self._provider.shutdown()


def _exporting(service: str, endpoint: str) -> TracerProvider:
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(_SAMPLED)),
        resource=Resource.create({"service.name": f"tercio-{service}"}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def current_trace_id() -> str:
    """Return the trace id of the current call, 32 hexadecimal characters; zeros outside of one."""
    return format_trace_id(get_current_span().get_span_context().trace_id)

"""Traces: trace ids for every call, spans only where there is somebody to send them to.

The provider is passed on and not set globally, so that several servers live in one process.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PROPAGATOR = TraceContextTextMapPropagator()
"""W3C Trace Context."""
_SAMPLED = 0.01
"""Of calls whose client did not decide: a span costs about as much as ten log lines."""


def open_traces(service: str, *, endpoint: str) -> TracerProvider:
    """Return a provider that exports to an OTLP endpoint, `host:port` or a URL; with an empty one it only makes ids.

    `shutdown` flushes and ends it.
    """
    resource = Resource.create({"service.name": f"tercio-{service}"})
    if not endpoint:
        return TracerProvider(sampler=ALWAYS_OFF, resource=resource, shutdown_on_exit=False)
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(_SAMPLED)), resource=resource, shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def current_trace_id() -> str:
    """Return the trace id of the current call, 32 hexadecimal characters; zeros outside of one."""
    return format_trace_id(trace.get_current_span().get_span_context().trace_id)

"""Counts calls and their time, and tells the caller of a unary call how long it took here.

Labels are few and closed: service and method are registered ones, code and reason come from catalogues.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from tercio_common.rpc import metadata
from tercio_common.rpc.incoming import Incoming

_LABELS = ("service", "method")
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

CALLS = Counter("tercio_rpc_calls", "Calls that ended, by their code and reason.", (*_LABELS, "code", "reason"))
DURATION = Histogram("tercio_rpc_duration_seconds", "Time in the server of unary calls.", _LABELS, buckets=_BUCKETS_S)
PRESENT = Gauge("tercio_rpc_present_calls", "Calls that are being handled, streams included.", _LABELS)


class Metrics:
    """See the module. Outermost, so that its time is the whole time."""

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Measure the call."""
        started = time.perf_counter()
        service, method = call.method.service, call.method.name
        present = PRESENT.labels(service, method)
        present.inc()
        try:
            yield
        finally:
            present.dec()
            CALLS.labels(service, method, call.code, call.reason).inc()
            if call.method.unary:
                duration_s = time.perf_counter() - started
                DURATION.labels(service, method).observe(duration_s)
                call.trailing.append((metadata.DURATION, f"{duration_s * 1000:.3f}"))

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


class _Series:
    """The series of one method, looked up once."""

    def __init__(self, labels: tuple[str, str]) -> None:
        self._labels = labels
        self.present = PRESENT.labels(*labels)
        self.duration = DURATION.labels(*labels)
        self._ended: dict[tuple[str, str], Counter] = {}

    def ended(self, code: str, reason: str) -> Counter:
        found = self._ended.get((code, reason))
        if found is None:
            found = self._ended[code, reason] = CALLS.labels(*self._labels, code, reason)
        return found


class Metrics:
    """See the module. Outermost, so that its time is the whole time."""

    def __init__(self) -> None:
        """Start without methods."""
        self._series: dict[str, _Series] = {}

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Measure the call."""
        started = time.perf_counter()
        series = self._series.get(call.method.path)
        if series is None:
            series = self._series[call.method.path] = _Series((call.method.service, call.method.name))
        series.present.inc()
        try:
            yield
        finally:
            series.present.dec()
            series.ended(call.code, call.reason).inc()
            if call.method.unary:
                duration_s = time.perf_counter() - started
                series.duration.observe(duration_s)
                call.trailing.append((metadata.DURATION, f"{duration_s * 1000:.3f}"))

"""Serves `/metrics` on a port of its own, and states how series are named.

A series is `tercio_<service>_<thing>_<unit>`, in base units (seconds, bytes); a counter's name ends in `_total`. A
state is a label, and labels have few values: never an id. Series are module-level, in the `metrics.py` of what they
measure.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

_POLL_S = 0.05
"""How soon the thread notices that it is to end."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is the library's
        """Write no line for each scrape."""


class MetricsEndpoint:
    """Prometheus' text format over HTTP, from a thread: a scrape does not delay calls."""

    def __init__(self, *, bind: str, port: int) -> None:
        """Listen and serve; raises OSError when the port is taken."""
        self._server = make_server(bind, port, make_wsgi_app(), server_class=_Server, handler_class=_SilentHandler)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="tercio-metrics", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        """End the thread and free the port; both happen also when the wait for them is cancelled."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()

        def stop() -> None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                loop.call_soon_threadsafe(stopped.set)

        threading.Thread(target=stop, name="tercio-metrics-stop", daemon=True).start()
        await stopped.wait()

"""Health on a plaintext port of its own: Kubernetes' gRPC probes speak no TLS.

A service is SERVING while this process can answer for it or forward to a leader; the empty name stands for all of them
together (readiness). `live` is SERVING for as long as the event loop turns (liveness): a process that lost its leader
is not ready, but to restart it would help nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from tercio_common.clock import Clock
from tercio_common.machine.forward import Replica

LIVE = "live"
"""Name of the process itself."""
_LOOK_MS = 100


class HealthPort:
    """The health server of one process."""

    def __init__(self, replicas: Mapping[str, Replica], *, clock: Clock) -> None:
        """Report on each named replica; nothing listens yet."""
        self._replicas = replicas
        self._clock = clock
        self._servicer = aio.HealthServicer()
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)

    def listen(self, address: str) -> int:
        """Bind the port; return it. Raises RuntimeError when it is taken."""
        return self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Answer from now on."""
        await self._servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self._report()
        await self._server.start()

    async def run(self) -> None:
        """Follow the replicas, for ever."""
        while True:
            await self._report()
            await self._clock.sleep_ms(_LOOK_MS)

    async def refuse(self) -> None:
        """Report NOT_SERVING from now on: the process stops."""
        await self._servicer.enter_graceful_shutdown()

    async def close(self) -> None:
        """Stop answering."""
        await self._server.stop(None)

    async def _report(self) -> None:
        ready = {name: can_answer(replica) for name, replica in self._replicas.items()}
        ready[""] = all(ready.values())
        for name, serving in ready.items():
            await self._set(name, serving=serving)

    async def _set(self, name: str, *, serving: bool) -> None:
        known = health_pb2.HealthCheckResponse
        with contextlib.suppress(KeyError):  # a watcher that left while it was told
            await self._servicer.set(name, known.SERVING if serving else known.NOT_SERVING)


def can_answer(replica: Replica) -> bool:
    """Tell whether a call to this replica would be answered here or by the leader that it knows."""
    return replica.leading or (replica.leader is not None and replica.leader.address != replica.address)

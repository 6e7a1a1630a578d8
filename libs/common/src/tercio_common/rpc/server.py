"""The only way to start a gRPC server, so that nobody forgets deadlines, error mapping, authorisation, health or drain.

The concerns around every call, outermost first, and why in this order:

1. metrics: sees the whole time and the final code.
2. tracing: what follows logs with trace and request id.
3. errors: turns what the inner ones and the handler raise into a status.
4. draining: a server that stops does nothing more for a new call.
5. limits: work is refused before any is done.
6. identity: who calls, and whether they may.
7. deadlines: last, because the sub-calls that it is for come from the handler.

Inside of them `Forwarding` chooses between the service's own handler and one that passes the bytes to the leader. So a
forwarded call is counted, traced and authorised here as well as there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
import structlog

from tercio_common.background import Background
from tercio_common.clock import Clock
from tercio_common.composition import Service
from tercio_common.errors import SettingsError
from tercio_common.ids import IdSource, RandomIds
from tercio_common.machine.forward import Forwarding
from tercio_common.rpc.authorisation import Authorisation
from tercio_common.rpc.health import HealthPort
from tercio_common.rpc.interceptors.deadlines import Deadlines
from tercio_common.rpc.interceptors.draining import Draining
from tercio_common.rpc.interceptors.errors import Errors
from tercio_common.rpc.interceptors.identity import Identity
from tercio_common.rpc.interceptors.limits import Limits
from tercio_common.rpc.interceptors.metrics import Metrics
from tercio_common.rpc.interceptors.peers import PeerGate
from tercio_common.rpc.interceptors.tracing import Tracing
from tercio_common.rpc.reflection import add_reflection
from tercio_common.rpc.wrapping import WrappingInterceptor
from tercio_common.settings import ServerSettings
from tercio_common.telemetry.metrics import MetricsEndpoint
from tercio_common.telemetry.traces import Traces

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that answers.

    Attributes:
        port: bound for gRPC.
        health_port: bound for health.
        metrics_port: bound for Prometheus.
    """

    port: int
    health_port: int
    metrics_port: int
    _server: grpc.aio.Server
    _health: HealthPort
    _draining: Draining
    _settings: ServerSettings
    _closing: contextlib.AsyncExitStack

    async def refuse_new(self) -> None:
        """Report NOT_SERVING and answer new calls with DRAINING; present ones go on."""
        self._draining.refuse_new()
        await self._health.refuse()

    async def close(self, *, grace_ms: int) -> None:
        """End streams with DRAINING, give unary calls `grace_ms` to finish, and free the ports."""
        self._draining.close_streams()
        await self._server.stop(grace_ms / 1000)
        await self._closing.aclose()

    async def drain(self) -> None:
        """Refuse new calls, let present ones finish within the settings' time, and stop."""
        await self.refuse_new()
        await self.close(grace_ms=self._settings.drain_ms)


async def start_server(
    services: Sequence[Service],
    *,
    settings: ServerSettings,
    clock: Clock,
    background: Background | None = None,
    ids: IdSource | None = None,
) -> RunningServer:
    """Start answering for `services`, on the settings' three ports. Starts no host.

    A `background` given is told of the server's endless tasks; without one they fail unseen, which suits tests.

    Raises:
        SettingsError: a port cannot be bound.
        ValueError: two services have the same method.
    """
    ids = ids or RandomIds()
    background = background or Background()
    token = settings.replica_token.get_secret_value()
    replicas = {name: service.host for service in services for name in service.full_names}
    authorisation = Authorisation(service.rules for service in services)
    async with contextlib.AsyncExitStack() as closing:
        traces = Traces("+".join(service.name for service in services), endpoint=settings.otlp_endpoint)
        if settings.otlp_endpoint:
            closing.push_async_callback(asyncio.to_thread, traces.shutdown)  # it waits for the last export
        draining = Draining()
        forwarding = Forwarding(
            replicas, clock=clock, replica_token=token, max_message_bytes=settings.max_message_bytes
        )
        closing.push_async_callback(forwarding.close)
        wrapping = WrappingInterceptor(
            (
                Metrics(),
                Tracing(traces, ids=ids),
                Errors(),
                draining,
                Limits(max_unary_calls=settings.max_unary_calls),
                Identity(authorisation, replica_token=token, trust_network=settings.trust_network),
                Deadlines(clock),
                PeerGate(replicas),
            )
        )
        server = grpc.aio.server(interceptors=(wrapping, forwarding), options=_options(settings))
        for service in services:
            service.add_to_server(server)
        add_reflection(server, replicas)
        health = HealthPort({service.name: service.host for service in services} | replicas, clock=clock)
        port = _bound(server.add_insecure_port, settings.bind, settings.port)
        health_port = _bound(health.listen, settings.bind, settings.health_port_or_default())
        closing.push_async_callback(health.close)
        metrics = _serve_metrics(settings)
        closing.push_async_callback(metrics.close)
        await health.start()
        await server.start()
        following = background.start("health", health.run())
        closing.push_async_callback(background.end, following)
        _log.info("listening", port=port, health_port=health_port, metrics_port=metrics.port)
        return RunningServer(
            port=port,
            health_port=health_port,
            metrics_port=metrics.port,
            _server=server,
            _health=health,
            _draining=draining,
            _settings=settings,
            _closing=closing.pop_all(),
        )


def _options(settings: ServerSettings) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", 8 * 1024),
        # A second process on the port gets an error, and not half of the connections.
        ("grpc.so_reuseport", 0),
        # Agents behind a NAT keep an idle stream open by pings every 10 s; gRPC's default would cut them off for it.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # A peer that vanished without a word is noticed within 40 s, so that its stream does not stay for ever.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    )


def _bound(add_port: Callable[[str], int], bind: str, port: int) -> int:
    host = f"[{bind}]" if ":" in bind else bind
    try:
        bound = add_port(f"{host}:{port}")
    except RuntimeError as error:
        raise _not_bound(bind, port) from error
    if not bound:
        raise _not_bound(bind, port)
    return bound


def _serve_metrics(settings: ServerSettings) -> MetricsEndpoint:
    port = settings.metrics_port_or_default()
    try:
        return MetricsEndpoint(bind=settings.bind, port=port)
    except OSError as error:
        raise _not_bound(settings.bind, port) from error


def _not_bound(bind: str, port: int) -> SettingsError:
    return SettingsError(f"cannot listen on {bind}:{port}: another process has the port, or the address is not ours")

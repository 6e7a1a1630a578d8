"""Any replica answers: a follower passes what it is asked on to the leader, bytes as they are.

A call is forwarded once. The leader sees the original caller, the deadline less a reserve, and the client's own
`tercio-` metadata; the client sees the leader's reply or status unchanged, and the leader's address in the initial
metadata. Clients that follow the leader by themselves (`tercio-follow: 1`) get its address instead of a stream through
two processes.

It does not repeat calls: only the client knows whether that is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2

from tercio_common.clock import Clock
from tercio_common.election.port import Leader
from tercio_common.errors import Refusal
from tercio_common.rpc import incoming, metadata
from tercio_common.rpc.interceptors.deadlines import remaining_ms
from tercio_common.rpc.outgoing import fleet_metadata
from tercio_common.rpc.wrapping import AnsweredError, Handler, make_handler

_NO_LEADER_RETRY_MS = 500
_LOOK_MS = 200
"""How often a forwarded call looks whether its leader still leads; a tenth of what a take-over takes."""
_UNREACHABLE_RETRY_MS = 500
_STATUS_DETAILS = "grpc-status-details-bin"
_OF_EACH_SERVER = frozenset({metadata.DURATION, metadata.REQUEST_ID})
"""Trailing metadata that this replica adds itself."""
_ON_THE_WAY = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)
"""Codes with which gRPC itself reports a broken or late connection; the leader's own carry a rich status."""


class Replica(Protocol):
    """What forwarding knows of a host."""

    @property
    def leading(self) -> bool:
        """True while this replica answers by itself."""
        ...

    @property
    def leader(self) -> Leader | None:
        """Who leads, as far as this replica knows."""
        ...

    @property
    def address(self) -> str:
        """Where this replica is reached."""
        ...


class Forwarding(grpc.aio.ServerInterceptor):
    """Replaces the handlers of services that this replica does not lead."""

    def __init__(
        self, replicas: Mapping[str, Replica], *, clock: Clock, replica_token: str, max_message_bytes: int
    ) -> None:
        """Forward calls to the gRPC services named by `replicas`."""
        self._replicas = replicas
        self._clock = clock
        self._replica_token = replica_token
        self._options = (
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            # A leader that comes back on its address is found within a second, not after gRPC's two minutes.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_retries", 0),
        )
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the service's own handler while it leads, else one that forwards."""
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        replica = self._replicas.get(path.removeprefix("/").rpartition("/")[0])
        if handler is None or replica is None or replica.leading:
            return handler
        if path not in self._handlers:
            self._handlers[path] = self._forwarding_handler(incoming.method_of(path, handler), replica)
        return self._handlers[path]

    async def close(self) -> None:
        """Close the connections to leaders."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    def _forwarding_handler(self, method: incoming.Method, replica: Replica) -> Handler:
        async def forward(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
            address = self._find_leader(replica, method)
            accepted = asyncio.Event()
            reply: bytes | None = None
            with _statuses_passed_on(address):
                call = self._start(
                    address, method, _held_back(request, accepted) if method.streams_requests else request
                )
                watching = asyncio.ensure_future(self._end_with_leader(call, replica, address))
                try:
                    if method.streams_requests and metadata.ACCEPTED in dict(await call.initial_metadata()):
                        accepted.set()
                    await context.send_initial_metadata(_about(address, accepted=accepted.is_set()))
                    if method.streams_replies:
                        async for message in call:
                            await context.write(message)
                    else:
                        reply = await call
                    context.set_trailing_metadata(_passed_back(await call.trailing_metadata()))
                except asyncio.CancelledError:
                    if not watching.done():
                        raise
                    raise _unanswered(address, "it does not lead any more") from None
                finally:
                    watching.cancel()
                    call.cancel()
            return reply

        return make_handler(forward, method, decode=None, encode=None)

    async def _end_with_leader(self, call: Any, replica: Replica, address: str) -> None:
        """End a call whose leader was replaced: one that was stopped would hold it until the caller's deadline."""
        while replica.leader is not None and replica.leader.address == address:
            await self._clock.sleep_ms(_LOOK_MS)
        call.cancel()

    def _find_leader(self, replica: Replica, method: incoming.Method) -> str:
        call = incoming.current()
        leader = replica.leader
        if leader is None or leader.address == replica.address:
            raise Refusal(
                "NO_LEADER", f"{method.service} has no leader at present; retry", retry_after_ms=_NO_LEADER_RETRY_MS
            )
        if call.metadata.get(metadata.HOP, "0") != "0":
            raise Refusal(
                "FORWARDING_LOOP",
                "the call was forwarded to a replica that does not lead; retry",
                {"leader": leader.address},
                retry_after_ms=_NO_LEADER_RETRY_MS,
            )
        if not method.unary and call.metadata.get(metadata.FOLLOW) == "1":
            raise Refusal("NOT_LEADER", f"the leader is {leader.address}; call it", {"leader": leader.address})
        return leader.address

    def _start(self, address: str, method: incoming.Method, request: Any) -> Any:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = grpc.aio.insecure_channel(address, options=self._options)
        call = incoming.current()
        pairs = [
            *metadata.passed_on(call.metadata),
            *fleet_metadata(replica_token=self._replica_token),
            (metadata.FORWARDED_PRINCIPAL, call.principal),
            (metadata.HOP, "1"),
        ]
        left_ms = remaining_ms(self._clock)
        timeout = None if left_ms is None else left_ms / 1000
        multicallables: dict[tuple[bool, bool], Callable[..., Any]] = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        stub = multicallables[method.streams_requests, method.streams_replies](method.path)
        return stub(request, metadata=tuple(pairs), timeout=timeout)


@contextlib.contextmanager
def _statuses_passed_on(address: str) -> Iterator[None]:
    """Answer with the leader's own status; a failure on the way to it is an unknown outcome."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        trailing = _passed_back(error.trailing_metadata())
        rich = [value for key, value in trailing if key == _STATUS_DETAILS and isinstance(value, bytes)]
        if not rich and error.code() in _ON_THE_WAY:
            raise _unanswered(address, error.code().name) from error
        incoming.current().trailing.extend(trailing)
        raise AnsweredError(error.code(), error.details() or "", reason=_reason(rich)) from None


def _unanswered(address: str, why: str) -> Refusal:
    return Refusal(
        "OUTCOME_UNKNOWN",
        f"the leader at {address} gave no answer ({why}); retry with the same request id",
        retry_after_ms=_UNREACHABLE_RETRY_MS,
    )


async def _held_back(requests: AsyncIterator[bytes], accepted: asyncio.Event) -> AsyncIterator[bytes]:
    """Give the requests once the leader has accepted the stream, so that the status of a refusal is not lost."""
    await accepted.wait()
    async for request in requests:
        yield request


def _about(address: str, *, accepted: bool) -> tuple[tuple[str, str], ...]:
    return ((metadata.LEADER, address), (metadata.ACCEPTED, "1")) if accepted else ((metadata.LEADER, address),)


def _passed_back(trailing: metadata.Pairs | None) -> tuple[tuple[str, str | bytes], ...]:
    """Return the leader's trailing metadata without what this replica adds itself."""
    return tuple((key, value) for key, value in trailing or () if key not in _OF_EACH_SERVER)


def _reason(rich: list[bytes]) -> str:
    info = error_details_pb2.ErrorInfo()
    for serialized in rich:
        for detail in status_pb2.Status.FromString(serialized).details:
            if detail.Unpack(info):
                return str(info.reason)
    return ""

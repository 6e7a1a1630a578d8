"""The call that is being handled, as the interceptors and servicers of its task see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc

from tercio_common.machine.calls import Peer


class Method(NamedTuple):
    """A method and its cardinality."""

    path: str
    service: str
    name: str
    streams_requests: bool
    streams_replies: bool

    @property
    def unary(self) -> bool:
        """One request, one reply."""
        return not (self.streams_requests or self.streams_replies)


@dataclass(slots=True, eq=False)
class Incoming:
    """One call.

    Attributes:
        method: what is called.
        context: gRPC's.
        metadata: textual metadata of the client.
        principal: the caller, once identified.
        peer: the leader of another service that calls; None for everybody else.
        request_id: names the call in logs.
        code: how it ended, a name of `grpc.StatusCode`.
        reason: why it failed, from the catalogue; empty otherwise.
        trailing: what is added to the trailing metadata.
        gates: awaited in turn before the call is handled.
    """

    method: Method
    context: grpc.aio.ServicerContext[Any, Any]
    metadata: Mapping[str, str]
    principal: str = ""
    peer: Peer | None = None
    request_id: str = ""
    code: str = "OK"
    reason: str = ""
    trailing: list[tuple[str, str | bytes]] = field(default_factory=list)
    gates: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


_incoming: ContextVar[Incoming] = ContextVar("tercio_incoming_call")


def current() -> Incoming:
    """Return the call that this task handles.

    Raises:
        LookupError: it handles none.
    """
    return _incoming.get()


def enter(call: Incoming) -> None:
    """Make `call` the current one of this task, which handles no other."""
    _incoming.set(call)


def method_of(path: str, handler: grpc.RpcMethodHandler[Any, Any]) -> Method:
    """Return the method that `handler` serves at `path`."""
    service, _, name = path.removeprefix("/").rpartition("/")
    return Method(path, service, name, bool(handler.request_streaming), bool(handler.response_streaming))

"""Wraps a handler of any cardinality in one place, so that each interceptor states one concern as a context manager.

gRPC has four kinds of handlers, and Python two ways to write a streaming one (an asynchronous generator, or a coroutine
that writes to the context). Here they become one coroutine, `handle`: it runs entirely in the call's own task, so a
cancelled call unwinds every concern in order.

Messages are decoded and encoded inside: gRPC answers a failure of either with the exception's text.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn, Protocol, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from tercio_common.errors import Refusal
from tercio_common.rpc.incoming import Incoming, Method, enter, method_of
from tercio_common.rpc.metadata import ACCEPTED, text_values

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Decoder = Callable[[bytes], Any]
_Encoder = Callable[[Any], bytes]


class Concern(Protocol):
    """Something that is done around every call."""

    def around(self, call: Incoming) -> contextlib.AbstractContextManager[None]:
        """Enclose the call. What it raises instead of the handler's exception is the answer."""
        ...


class AnsweredError(Exception):
    """An exception that was turned into the status that the client gets."""

    def __init__(self, code: grpc.StatusCode, message: str, *, reason: str = "") -> None:
        """Keep what is sent; its trailing metadata is already in the call."""
        super().__init__(message)
        self.code, self.message, self.reason = code, message, reason


class _Malformed:
    """Stands for a request that could not be decoded."""


_MALFORMED = _Malformed()


class WrappingInterceptor(grpc.aio.ServerInterceptor):
    """Encloses every handler in the given concerns, the first one outermost."""

    def __init__(self, concerns: Sequence[Concern]) -> None:
        """Use `concerns`; the outermost ones see what the inner ones made of a failure."""
        self._concerns = tuple(concerns)
        self._wrapped: dict[tuple[str, int], tuple[Handler, Handler]] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the wrapped handler, made once for each, or None for an unknown method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        key = (handler_call_details.method, id(handler))
        known = self._wrapped.get(key)
        if known is None:
            # The original is kept beside it, so that its id stays its own.
            known = self._wrapped[key] = (handler, _wrap(handler, handler_call_details.method, self._concerns))
        return known[1]


def behaviour_of(handler: Any) -> Callable[[Any, Any], Any]:
    """Return the function behind a handler, whichever its cardinality."""
    found: Callable[[Any, Any], Any] = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return found


def make_handler(
    behaviour: Callable[[Any, Any], Any], method: Method, *, decode: _Decoder | None, encode: _Encoder | None
) -> Handler:
    """Return a handler of the method's cardinality."""
    factories: dict[tuple[bool, bool], Callable[..., Handler]] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    factory = factories[method.streams_requests, method.streams_replies]
    return factory(behaviour, request_deserializer=decode, response_serializer=encode)


def _wrap(handler: Any, path: str, concerns: tuple[Concern, ...]) -> Handler:
    method = method_of(path, handler)
    inner = behaviour_of(handler)
    encode = _encoder(handler.response_serializer)
    passes_bytes = handler.request_deserializer is None  # to the leader, which accepts for itself

    async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        call = Incoming(method, context, text_values(context.invocation_metadata()))
        enter(call)
        try:
            with contextlib.ExitStack() as stack:
                for concern in concerns:
                    stack.enter_context(concern.around(call))
                for gate in call.gates:
                    await gate()
                if request is _MALFORMED:
                    _refuse_malformed()
                if method.streams_requests and not passes_bytes:
                    await context.send_initial_metadata(((ACCEPTED, "1"),))
                reply = inner(request, context)
                if not method.streams_replies:
                    reply = encode(await reply)
                else:
                    await _write_all(reply, context, encode)
        except AnsweredError as answer:
            await context.abort(answer.code, answer.message, _trailing(call))
        context.set_trailing_metadata(_trailing(call))
        return None if method.streams_replies else reply

    decode = _decoder(handler.request_deserializer, streams=method.streams_requests)
    return make_handler(handle, method, decode=decode, encode=encode)


async def _write_all(replies: Any, context: grpc.aio.ServicerContext[Any, Any], encode: _Encoder) -> None:
    if not isinstance(replies, AsyncIterator):
        await replies
        return
    async with contextlib.aclosing(replies):  # type: ignore[type-var]
        async for reply in replies:
            await context.write(encode(reply))


def _trailing(call: Incoming) -> tuple[tuple[str, str | bytes], ...]:
    return (*(call.context.trailing_metadata() or ()), *call.trailing)


def _encoder(encode: _Encoder | None) -> _Encoder:
    """Return an encoder that lets bytes pass: what a servicer has rendered already, or what comes from the leader."""
    return lambda message: message if isinstance(message, bytes) or encode is None else encode(message)


def _decoder(decode: _Decoder | None, *, streams: bool) -> _Decoder | None:
    """Return a decoder whose failure is raised inside the concerns.

    A message of a stream is decoded while the handler reads, so it may raise; a single request is decoded before.
    """
    if decode is None:
        return None

    def guarded(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            if streams:
                _refuse_malformed()
            return _MALFORMED

    return guarded


def _refuse_malformed() -> NoReturn:
    raise Refusal(
        "INVALID_ARGUMENT", "the request is not a message of this method; check that client and server use the same API"
    )

"""Unary calls that survive a change of leader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from tercio.rpc.backoff import Backoff, is_retryable
from tercio.rpc.channels import Reconnect, Route
from tercio.rpc.errors import CallError
from tercio.rpc.policies import CallPolicy, policy_of
from tercio.rpc.status import error_of

StubT = TypeVar("StubT")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)

AGE_KEY: Final = "tercio-age-ms"

_TRY_TIMEOUT_MS: Final = 10_000

# Request ids are kept for five minutes; servers refuse retries older than three.
_MAX_AGE_MS: Final = 170_000


class Remote(Generic[StubT]):
    """One gRPC service, wherever its leader is.

    Calls are retried with the identical request, so a mutation must carry a request id.
    """

    def __init__(self, route: Route, stub: Callable[[grpc.aio.Channel], StubT]) -> None:
        """Reach the service of that generated stub class along the route."""
        self.route = route
        self._make_stub = stub
        self._service = getattr(stub, "__name__", "").removesuffix("Stub")
        self._channel: grpc.aio.Channel | None = None
        self._stub: StubT | None = None

    def stub(self) -> StubT:
        """Return the stub at the place where the leader is thought to be."""
        channel = self.route.channel()
        if self._stub is None or channel is not self._channel:
            self._channel, self._stub = channel, self._make_stub(channel)
        return self._stub

    async def unary(
        self,
        method: Callable[[StubT], grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]],
        request: RequestT,
        *,
        timeout_s: float | None = None,
        try_timeout_s: float | None = None,
    ) -> ResponseT:
        """Call a method until it answers, is refused for good, or the timeout is over.

        Args:
            method: picks the method of the stub.
            request: sent as it is, each time.
            timeout_s: for all tries together; by default what `service_config.json` says.
            try_timeout_s: for one try; by default 10 s, so that a peer that hangs does not eat the whole timeout.

        Raises:
            CallError: of the class that `tercio.errors` draws.
        """
        policy = self._policy(request)
        started = time.monotonic()
        budget_ms = policy.timeout_ms if timeout_s is None else round(timeout_s * 1000)
        budget_ms = min(budget_ms, _MAX_AGE_MS)
        try_timeout_ms = _TRY_TIMEOUT_MS if try_timeout_s is None else round(try_timeout_s * 1000)
        backoff = Backoff(
            initial_ms=policy.initial_backoff_ms, maximum_ms=policy.max_backoff_ms, factor=policy.backoff_factor
        )
        reconnect = Reconnect(self.route, backoff)
        age_ms = 0
        while True:
            timeout_ms = min(budget_ms - age_ms, try_timeout_ms)
            metadata = ((AGE_KEY, str(age_ms)),) if age_ms else ()
            tried = self.route.address
            try:
                return await method(self.stub())(request, timeout=timeout_ms / 1000, metadata=metadata)
            except grpc.RpcError as failure:
                error = error_of(failure)
            wait_ms = reconnect.wait_ms(error, tried=tried) if _is_worth_another_try(error) else 0
            age_ms = round((time.monotonic() - started) * 1000)
            if not _is_worth_another_try(error) or age_ms + wait_ms >= budget_ms:
                raise error
            await asyncio.sleep(wait_ms / 1000)
            age_ms += wait_ms

    def _policy(self, request: Message) -> CallPolicy:
        # The contracts' lint demands that the request of method X is called XRequest.
        descriptor = request.DESCRIPTOR
        return policy_of(f"{descriptor.file.package}.{self._service}", descriptor.name.removesuffix("Request"))


def _is_worth_another_try(error: CallError) -> bool:
    # One try's own deadline is shorter than the call's.
    return is_retryable(error) or (error.code is grpc.StatusCode.DEADLINE_EXCEEDED and not error.reason)

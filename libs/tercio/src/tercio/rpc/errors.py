"""Errors of calls. `tercio.errors` draws the whole tree; these live here because servers call each other too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import grpc


class TercioError(Exception):
    """Root of every error that the SDK raises by itself."""


class FieldViolation(NamedTuple):
    """One field of a request that is wrong.

    Attributes:
        field: path of the field, for instance `tasks[3].payload`.
        description: what is wrong with it and what would be right.
    """

    field: str
    description: str


class CallError(TercioError):
    """A call was answered with an error, or was not answered in time.

    Attributes:
        code: the gRPC status.
        reason: name in the catalogue of reasons; empty when the error did not come from Tercio.
        message: what, why, and what to do.
        metadata: small facts for programs, as the reason documents them.
        violations: every field that is wrong; empty for other errors.
        retry_after_ms: when a retry may succeed; 0 says nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_ms: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata: Mapping[str, str] = metadata or {}
        self.violations = violations
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        """Reason or status, message, and the fields that are wrong."""
        fields = "".join(f"; {violation.field}: {violation.description}" for violation in self.violations)
        return f"{self.reason or self.code.name}: {self.message}{fields}"


class InvalidRequestError(CallError):
    """The request itself is wrong; the same request will be refused again."""


class NotFoundError(CallError):
    """What the request names is not there, or no longer kept."""


class ConflictError(CallError):
    """The present state does not allow it, or the name is taken with other content."""


class AccessError(CallError):
    """The caller proved no identity or may not do this."""


class ExhaustedError(CallError):
    """A limit is reached; `retry_after_ms` says when to try again."""


class UnavailableError(CallError):
    """No leader answered. The call was retried with the same request id until its timeout."""


class DeadlineExceededError(CallError):
    """The call was not answered within its timeout; whether it had an effect is not known."""


class ServerError(CallError):
    """The server failed in a way that it did not expect."""


_CLASSES: Mapping[grpc.StatusCode, type[CallError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: ConflictError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.UNAUTHENTICATED: AccessError,
    grpc.StatusCode.PERMISSION_DENIED: AccessError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExhaustedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.UNKNOWN: ServerError,
    grpc.StatusCode.DATA_LOSS: ServerError,
    grpc.StatusCode.UNIMPLEMENTED: ServerError,
}

# Refusals inside a stream carry a reason and no status, so the usual status of the common ones is repeated here.
_CODES: Mapping[str, grpc.StatusCode] = {
    "INVALID_ARGUMENT": grpc.StatusCode.INVALID_ARGUMENT,
    "PAYLOAD_TOO_LARGE": grpc.StatusCode.INVALID_ARGUMENT,
    "REQUEST_TOO_LARGE": grpc.StatusCode.INVALID_ARGUMENT,
    "DEPENDENCY_CYCLE": grpc.StatusCode.INVALID_ARGUMENT,
    "DEPENDENCY_UNKNOWN": grpc.StatusCode.FAILED_PRECONDITION,
    "DEADLINE_PASSED": grpc.StatusCode.FAILED_PRECONDITION,
    "INSUFFICIENT_AGENT_CAPABILITY": grpc.StatusCode.FAILED_PRECONDITION,
    "TASK_STATE_CONFLICT": grpc.StatusCode.FAILED_PRECONDITION,
    "TASK_ID_REUSED": grpc.StatusCode.ALREADY_EXISTS,
    "TASK_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "QUEUE_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "STORE_NEARLY_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "PERMISSION_DENIED": grpc.StatusCode.PERMISSION_DENIED,
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}


def call_error(
    message: str,
    *,
    code: grpc.StatusCode,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    violations: tuple[FieldViolation, ...] = (),
    retry_after_ms: int = 0,
) -> CallError:
    """Make the error of the class that belongs to the status."""
    make = _CLASSES.get(code, CallError)
    return make(
        message,
        code=code,
        reason=reason,
        metadata=metadata,
        violations=violations,
        retry_after_ms=retry_after_ms,
    )


def refusal_error(reason: str, message: str) -> CallError:
    """Make the error of one record that was refused inside a stream."""
    return call_error(message, code=_CODES.get(reason, grpc.StatusCode.FAILED_PRECONDITION), reason=reason)

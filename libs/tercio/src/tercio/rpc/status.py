"""Reads `google.rpc.Status` out of a failed call."""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from tercio.rpc.errors import CallError, FieldViolation, call_error

_STATUS_KEY = "grpc-status-details-bin"


def error_of(error: grpc.RpcError) -> CallError:
    """Return the error that a failed call stands for, with all that the server said about it.

    Only the first ErrorInfo counts: Tercio sends one.
    """
    if not isinstance(error, grpc.aio.AioRpcError):
        return call_error(str(error), code=grpc.StatusCode.UNKNOWN)
    status = _status_of(error)
    if status is None:
        return call_error(error.details() or "", code=error.code())
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        # `Unpack` leaves the message alone when the detail is of another kind.
        _ = (not info.reason and detail.Unpack(info)) or detail.Unpack(bad_request) or detail.Unpack(retry)
    return call_error(
        status.message or error.details() or "",
        code=error.code(),
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(FieldViolation(item.field, item.description) for item in bad_request.field_violations),
        retry_after_ms=retry.retry_delay.ToMilliseconds(),
    )


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == _STATUS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None

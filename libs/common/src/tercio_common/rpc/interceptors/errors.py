"""Turns every exception into a `google.rpc.Status`, and lets no other text out.

A `Refusal` becomes its reason's code with one `ErrorInfo`, and with `BadRequest`, `RetryInfo` and details of its own
where they apply. Anything else is INTERNAL: the client gets a trace id, the log gets the traceback. Statuses are kept
small, because metadata over 8 kB is refused at random: long messages and long lists of violations are cut, and say so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import grpc
import structlog
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tercio_common.errors import Refusal
from tercio_common.reasons import DOMAIN, REASONS
from tercio_common.rpc.incoming import Incoming
from tercio_common.rpc.wrapping import AnsweredError
from tercio_common.telemetry.traces import current_trace_id

_STATUS_BYTES = 4096
"""On the wire a status is a third longer, its message is there twice, and other metadata wants room below 8 kB."""
_MESSAGE_CHARACTERS = 512
_METADATA_CHARACTERS = 512
_log = structlog.get_logger(__name__)


class Errors:
    """See the module."""

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Raise `AnsweredError` for whatever the call raises."""
        try:
            yield
        except asyncio.CancelledError:
            call.code = grpc.StatusCode.CANCELLED.name
            raise
        except Exception as error:
            answer = _answer(error, call)
            call.code, call.reason = answer.code.name, answer.reason
            raise answer from error


def _answer(error: Exception, call: Incoming) -> AnsweredError:
    if isinstance(error, AnsweredError):
        return error
    if isinstance(error, Refusal) and error.reason in REASONS:
        return _refuse(error, call)
    if isinstance(error, NotImplementedError):  # raised by the generated base class
        return AnsweredError(grpc.StatusCode.UNIMPLEMENTED, f"this server does not have {call.method.path}")
    trace_id = current_trace_id()
    _log.error("call_failed", method=call.method.path, consequence="answered INTERNAL", exc_info=error)
    message = f"the server failed; its log has the reason under trace_id {trace_id}"
    return _refuse(Refusal("INTERNAL", message, {"traceId": trace_id}), call)


def _refuse(refusal: Refusal, call: Incoming) -> AnsweredError:
    status = status_of(refusal)
    rich = rpc_status.to_status(status)
    call.trailing.extend(rich.trailing_metadata)
    return AnsweredError(rich.code, status.message, reason=refusal.reason)


def status_of(refusal: Refusal) -> status_pb2.Status:
    """Return the status of a refusal; its reason is in the catalogue."""
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason,
        domain=DOMAIN,
        metadata={key: _cut(value, _METADATA_CHARACTERS) for key, value in refusal.metadata.items()},
    )
    details: list[Message] = [info, *refusal.details]
    if refusal.retry_after_ms:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(refusal.retry_after_ms)
        details.append(retry)
    code: int = REASONS[refusal.reason].code.value[0]
    status = status_pb2.Status(code=code, message=_cut(refusal.message, _MESSAGE_CHARACTERS))
    for detail in details:
        status.details.append(_packed(detail))
    if refusal.violations:
        status.details.append(_packed(_bad_request(refusal, room=_STATUS_BYTES - status.ByteSize())))
    return status


def _bad_request(refusal: Refusal, *, room: int) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for index, violation in enumerate(refusal.violations):
        one = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, _METADATA_CHARACTERS),
            description=_cut(violation.description, _MESSAGE_CHARACTERS),
        )
        room -= one.ByteSize() + 4
        if room < 0:
            left = len(refusal.violations) - index
            bad.field_violations.add(field="…", description=f"{left} more violations are not listed")
            break
        bad.field_violations.append(one)
    return bad


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"

"""What a failed call to etcd means for the caller.

A write has three outcomes. Only two answers are definite: a transaction's own reply, and "too many requests", which
etcd gives before it proposes anything. All else may have been applied, the answer "database space exceeded" too: a
member applies the entry and then returns that error. So the default is `OutcomeUnknownError`, and only that one
message is excepted.
"""

from __future__ import annotations

import grpc

from tercio_common.errors import NotProposedError, OutcomeUnknownError, StoreError, StoreUnavailableError

_TOO_MANY_REQUESTS = "etcdserver: too many requests"
_ELSEWHERE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


def another_member_may_answer(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether the error is the member's, not the request's."""
    return error.code() in _ELSEWHERE


def is_definitely_not_proposed(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether nothing was, and nothing will be, written by this attempt."""
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_MANY_REQUESTS in (error.details() or "")


def of_write(error: grpc.aio.AioRpcError, *, earlier_attempts: bool) -> StoreError:
    """Return what a failed write means.

    Args:
        error: the last attempt's.
        earlier_attempts: the same call tried another member before, with unknown outcome.
    """
    text = f"etcd: {error.details()} ({error.code().name})"
    if is_definitely_not_proposed(error) and not earlier_attempts:
        return NotProposedError(text)
    return OutcomeUnknownError(text)


def of_read(error: grpc.aio.AioRpcError) -> StoreUnavailableError:
    """Return what a failed read means."""
    return StoreUnavailableError(f"etcd: {error.details()} ({error.code().name})")

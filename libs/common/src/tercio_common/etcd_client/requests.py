"""The few requests that we send, with types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tercio_common.etcd_client.stubs import api

Compare = Any
Operation = Any
Range = Any
Transaction = Any


def prefix_end(prefix: bytes) -> bytes:
    """Return the first key after all keys with this prefix; the prefix ends in an ASCII character."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def get(key: bytes, *, end: bytes = b"", limit: int = 0, keys_only: bool = False) -> Range:
    """Read one key, or with `end` the keys in [key, end) in order. Linearizable."""
    return api.RangeRequest(key=key, range_end=end, limit=limit, keys_only=keys_only)


def get_last(key: bytes, *, end: bytes) -> Range:
    """Read the last key in [key, end) without its value. Linearizable."""
    order = {"sort_order": api.RangeRequest.DESCEND, "sort_target": api.RangeRequest.KEY}
    return api.RangeRequest(key=key, range_end=end, limit=1, keys_only=True, **order)


def get_operation(key: bytes) -> Operation:
    """Read one key inside a transaction."""
    return api.RequestOp(request_range=get(key))


def put_operation(key: bytes, value: bytes, *, lease: int = 0) -> Operation:
    """Write one key inside a transaction."""
    return api.RequestOp(request_put=api.PutRequest(key=key, value=value, lease=lease))


def delete_operation(key: bytes, *, end: bytes = b"") -> Operation:
    """Delete one key, or with `end` the keys in [key, end), inside a transaction."""
    return api.RequestOp(request_delete_range=api.DeleteRangeRequest(key=key, range_end=end))


def created_at(key: bytes, revision: int) -> Compare:
    """Compare the revision that created the key; 0 means that there is none."""
    return _equal(api.Compare.CREATE, key, create_revision=revision)


def modified_at(key: bytes, revision: int) -> Compare:
    """Compare the revision that last changed the key; 0 means that there is none."""
    return _equal(api.Compare.MOD, key, mod_revision=revision)


def value_is(key: bytes, value: bytes) -> Compare:
    """Compare the value; false when there is none."""
    return _equal(api.Compare.VALUE, key, value=value)


def transaction(
    guards: Sequence[Compare], *, then: Sequence[Operation] = (), otherwise: Sequence[Operation] = ()
) -> Transaction:
    """Do `then` if every guard holds, else `otherwise`, in one step."""
    return api.TxnRequest(compare=guards, success=then, failure=otherwise)


def _equal(target: int, key: bytes, **expected: int | bytes) -> Compare:
    return api.Compare(result=api.Compare.EQUAL, target=target, key=key, **expected)

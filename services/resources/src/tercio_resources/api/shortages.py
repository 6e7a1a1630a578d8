"""Refusals for lack of resources say by a detail what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tercio_common.errors import Refusal
from tercio_common.rpc.shortages import quota_failures


@contextmanager
def detailed() -> Iterator[None]:
    """Add to a refusal for lack of resources a violation for each dimension."""
    try:
        yield
    except Refusal as refusal:
        raise replace(refusal, details=quota_failures(refusal.metadata)) from None

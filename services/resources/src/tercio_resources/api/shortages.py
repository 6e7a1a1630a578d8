"""What is missing, as `google.rpc.QuotaFailure`: drawn from the metadata of a refusal that the state gave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from google.rpc import error_details_pb2

from tercio_common.errors import Refusal


@contextmanager
def detailed() -> Iterator[None]:
    """Add to a refusal for lack of resources a violation for each dimension."""
    try:
        yield
    except Refusal as refusal:
        names = [key.removesuffix(".required") for key in refusal.metadata if key.endswith(".required")]
        if not names:
            raise
        failure = error_details_pb2.QuotaFailure()
        for name in names:
            required, available = refusal.metadata[f"{name}.required"], refusal.metadata[f"{name}.available"]
            failure.violations.add(
                subject=f"{refusal.metadata[f'{name}.bound']}:{name}",
                description=f"{name}: {required} required, {available} available",
            )
        raise Refusal(
            refusal.reason, refusal.message, refusal.metadata, refusal.retry_after_ms, details=(failure,)
        ) from None

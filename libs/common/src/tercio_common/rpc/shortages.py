"""What is missing, as `google.rpc.QuotaFailure`: drawn from the metadata of a refusal that a state gave.

A state knows no protobuf, so it names the gap of each dimension as `<dimension>.required`, `.available` and `.bound`.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.rpc import error_details_pb2


def quota_failures(metadata: Mapping[str, str]) -> tuple[error_details_pb2.QuotaFailure, ...]:
    """Return the detail with a violation for each dimension that is short; nothing when none is."""
    names = [key.removesuffix(".required") for key in metadata if key.endswith(".required")]
    if not names:
        return ()
    failure = error_details_pb2.QuotaFailure()
    for name in names:
        required, available = metadata[f"{name}.required"], metadata[f"{name}.available"]
        failure.violations.add(
            subject=f"{metadata[f'{name}.bound']}:{name}",
            description=f"{name}: {required} required, {available} available",
        )
    return (failure,)

"""Metadata of calls that this process makes to others of the fleet."""

from __future__ import annotations

import contextlib

from tercio_common.rpc import incoming, metadata
from tercio_common.telemetry.traces import PROPAGATOR


def fleet_metadata(*, replica_token: str) -> list[tuple[str, str]]:
    """Return the metadata with which a process of the fleet calls another: its proof, the trace and the request id.

    An empty token is left out: on one machine loopback is the proof.
    """
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier)
    pairs = list(carrier.items())
    if replica_token:
        pairs.append((metadata.REPLICA_TOKEN, replica_token))
    with contextlib.suppress(LookupError):  # work that no call started has no request id
        pairs.append((metadata.REQUEST_ID, incoming.current().request_id))
    return pairs

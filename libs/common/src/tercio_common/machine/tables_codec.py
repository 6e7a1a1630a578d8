"""Rows as bytes: the host's own tables here, all others by the service's codec."""

from __future__ import annotations

from typing import Any

from tercio_common.journal.peer_epochs import PEERS, PeerRow
from tercio_common.journal.requests import REQUESTS, SESSIONS, RequestRow, SessionRow
from tercio_common.machine.protocol import Codec
from tercio_common.records.v1 import record_pb2


def encode_row(codec: Codec, table: str, row: Any) -> bytes:
    """Encode one row of any table of a machine."""
    if table == REQUESTS:
        return record_pb2.RequestRow(
            principal=row.principal,
            request_id=row.request_id,
            method=row.method,
            digest=row.digest,
            reply=row.reply,
            received_ms=row.received,
        ).SerializeToString()
    if table == SESSIONS:
        return record_pb2.SessionRow(
            principal=row.principal, session_id=row.session_id, last_frame=row.last_frame, seen_ms=row.seen
        ).SerializeToString()
    if table == PEERS:
        return record_pb2.PeerRow(
            role=row.role, shard=row.shard, epoch_generation=row.generation, epoch_revision=row.revision
        ).SerializeToString()
    return codec.encode_row(table, row)


def decode_row(codec: Codec, table: str, data: bytes) -> Any:
    """Decode one row of any table of a machine."""
    if table == REQUESTS:
        request = record_pb2.RequestRow.FromString(data)
        return RequestRow(
            request.principal, request.request_id, request.method, request.digest, request.reply, request.received_ms
        )
    if table == SESSIONS:
        session = record_pb2.SessionRow.FromString(data)
        return SessionRow(session.principal, session.session_id, session.last_frame, session.seen_ms)
    if table == PEERS:
        peer = record_pb2.PeerRow.FromString(data)
        return PeerRow(peer.role, peer.shard, peer.epoch_generation, peer.epoch_revision)
    return codec.decode_row(table, data)

"""One gRPC channel and its stubs for each etcd member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

from tercio_common.etcd_client.settings import EtcdSettings, TlsFiles
from tercio_common.etcd_client.stubs import api

# A member that comes back is used again within a second; gRPC's own default waits up to two minutes.
_RECONNECT_MS = (("initial", 100), ("min", 100), ("max", 1000))


class Member:
    """A connection to one member; it is made by the first call."""

    def __init__(self, endpoint: str, settings: EtcdSettings) -> None:
        self.endpoint = endpoint
        self.channel = _open(endpoint, settings)
        self.kv: Any = api.KVStub(self.channel)
        self.lease: Any = api.LeaseStub(self.channel)
        self.watch: Any = api.WatchStub(self.channel)
        self.maintenance: Any = api.MaintenanceStub(self.channel)


def _open(endpoint: str, settings: EtcdSettings) -> grpc.aio.Channel:
    options: list[tuple[str, int]] = [
        *((f"grpc.{which}_reconnect_backoff_ms", duration) for which, duration in _RECONNECT_MS),
        ("grpc.keepalive_time_ms", settings.keepalive_ms),
        ("grpc.keepalive_timeout_ms", settings.keepalive_timeout_ms),
        # A page of the journal holds up to 64 segments of 512 kB.
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.max_send_message_length", 64 << 20),
        # Each client has its own connections, so that closing one says nothing about another's.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if settings.tls is None:
        return grpc.aio.insecure_channel(endpoint, options=options)
    return grpc.aio.secure_channel(endpoint, _credentials(settings.tls), options=options)


def _credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=files.ca.read_bytes(), private_key=_read(files.key), certificate_chain=_read(files.cert)
    )


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()

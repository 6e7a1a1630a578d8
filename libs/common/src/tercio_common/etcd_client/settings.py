"""How etcd is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tercio_common.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files.

    Attributes:
        ca: certificates that the members' certificates are checked against.
        cert: our own certificate, when etcd asks for one.
        key: its private key.
    """

    ca: Path
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSettings:
    """How etcd is reached.

    Attributes:
        endpoints: `host:port` of every member; the next one is used when one does not answer.
        tls: files for TLS; None speaks plaintext.
        rpc_timeout_ms: time for one call, other members included; 2,000 leaves room for two renewals in a lease of
            10 s.
        keepalive_ms: HTTP/2 pings on an idle connection with an open watch. etcd cuts clients that ping more often than
            every 5 s.
        keepalive_timeout_ms: without an answer to a ping for that long, the member counts as gone.
        maintenance_timeout_ms: time for one compaction or defragmentation; a member of 8 GB takes about 30 s.
        quota_bytes: what `--quota-backend-bytes` says, for etcd before 3.6, which does not tell; 0 asks etcd.
    """

    endpoints: tuple[str, ...]
    tls: TlsFiles | None = None
    rpc_timeout_ms: int = 2000
    keepalive_ms: int = 10_000
    keepalive_timeout_ms: int = 2000
    maintenance_timeout_ms: int = 120_000
    quota_bytes: int = 0

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            SettingsError: names the field and the rule.
        """
        if not self.endpoints:
            raise SettingsError("endpoints is empty: name at least one etcd member as host:port")
        if self.keepalive_ms < 5000:
            raise SettingsError(f"keepalive_ms is {self.keepalive_ms}; under 5000 etcd closes the connection")
        for name in ("rpc_timeout_ms", "keepalive_timeout_ms", "maintenance_timeout_ms"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be positive")
        if self.tls is not None and (self.tls.cert is None) != (self.tls.key is None):
            raise SettingsError("tls.cert and tls.key go together: give both or neither")

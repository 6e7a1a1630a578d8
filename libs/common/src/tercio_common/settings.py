"""Settings that every service shares, and how they are loaded.

One class a concern, frozen, passed on explicitly. They come from environment variables (`TERCIO_SERVER__PORT=7401`: the
section, two underscores, the field) and, below those, from the YAML or TOML file that `TERCIO_SETTINGS_FILE` names.
Values that contradict each other are refused with the rule that they break; nothing is adjusted in silence.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from tercio_common.election.renewal import LeaseSettings
from tercio_common.errors import SettingsError

SETTINGS_FILE = "TERCIO_SETTINGS_FILE"
_HEALTH_OFFSET = 100
_METRICS_OFFSET = 200


class Section(BaseModel):
    """Root of every group of settings: frozen, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HostSettings(Section):
    """One replica's journal, leadership and feed."""

    lease: LeaseSettings = LeaseSettings()
    """The election's lease; see `LeaseSettings`."""
    commit_bytes: int = Field(default=512 * 1024, ge=4 * 1024, le=1024 * 1024)
    """Largest commit, in bytes, 4 KiB to 1 MiB: etcd takes 1.5 MB a request, and a larger value delays everything
    behind it."""
    snapshot_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Journal bytes since the last snapshot that start the next one, from 1 MiB: replaying 64 MiB takes seconds."""
    tail_ms: int = Field(default=60_000, ge=0)
    """How long segments stay that a snapshot covers, in ms, or until an eighth of the service's live bytes more were
    written: who copies the journal may be that late."""
    live_bytes: dict[str, Annotated[int, Field(ge=1 << 20, le=4 << 30)]] = {}
    """What each service may hold in a snapshot, in bytes, by its name, 1 MiB to 4 GiB. Beyond it, what creates work is
    refused with QUEUE_FULL. By default the scheduler has 1/16 of the store's quota and each other service 1/128: 512
    and 64 MiB of 8 GiB, also in a store without a quota. Give it alike to every process that shares the store: together
    they are checked against its quota."""
    audit_bytes: int | None = Field(default=None, ge=1 << 20, le=4 << 30)
    """How much of its audit trail each service keeps beside the journal, in bytes, 1 MiB to 4 GiB; 1/256 of the store's
    quota if unset, 32 MiB of 8 GiB: about 200,000 mutations."""
    audit_ms: int = Field(default=30 * 86_400_000, ge=1_000)
    """How long it keeps it, in ms of fleet time, from 1 s; by default 30 days. What only the journal holds is newer
    than the last snapshot, and stays."""
    feed_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Memory for committed changes that a watch can resume from, in bytes, from 1 MiB; minutes at full load."""
    lag_bytes: int = Field(default=8 << 20, ge=64 * 1024)
    """How far a reader of the feed may fall behind, in bytes, from 64 KiB: further, and it would hold memory for
    nothing."""
    request_window_ms: int = Field(default=300_000, ge=1_000)
    """How long a request id is remembered, in ms of fleet time, from 1 s: five minutes outlast a failover and its
    retries."""
    retry_age_ms: int = Field(default=180_000, ge=500)
    """Oldest retry that is honoured, in ms since its first send, from 500 ms: lower than the window, which starts at
    receipt."""
    request_limit: int = Field(default=200_000, ge=100)
    """How many request ids are kept, from 100: about 100 MB with their replies. At the limit new requests wait."""
    session_window_ms: int = Field(default=900_000, ge=1_000)
    """How long a stream's session outlives its last frame, in ms, from 1 s: an agent that was away longer has lost its
    lease."""
    lazy_ms: int = Field(default=20, ge=0, le=1_000)
    """Longest wait of a record that starts no commit by itself, in ms, 0 to 1 s: it usually rides with the next commit.
    """
    idle_commit_ms: int = Field(default=10_000, ge=10)
    """How often an idle leader with timers writes the time down, in ms, from 10 ms: a take-over sets fleet time back by
    at most this."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        try:
            self.lease.check()
        except SettingsError as error:
            raise ValueError(f"lease: {error}") from error
        if self.retry_age_ms >= self.request_window_ms:
            raise ValueError(
                f"retry_age_ms ({self.retry_age_ms}) must be less than request_window_ms ({self.request_window_ms}), "
                "or a retry that is honoured could find its request id forgotten and run twice"
            )
        if self.lag_bytes > self.feed_bytes:
            raise ValueError(
                f"lag_bytes ({self.lag_bytes}) must not be over feed_bytes ({self.feed_bytes}), "
                "or a reader could be kept that has nothing left to read"
            )
        return self


class StoreSettings(Section):
    """Where journals and elections are kept."""

    kind: Literal["memory", "sqlite", "etcd"] = "etcd"
    """`memory` forgets at the end, `sqlite` is one file and one process, `etcd` is for replicas."""
    endpoints: tuple[str, ...] = ("localhost:2379",)
    """etcd's members, `host:port` each."""
    prefix: str = Field(default="tercio", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """First part of every etcd key, 1 to 64 characters of [A-Za-z0-9._-], so that fleets can share an etcd."""
    path: Path = Path("tercio.db")
    """The SQLite file."""
    ca_file: Path | None = None
    """Certificates that etcd's are checked with; set it to speak TLS."""
    cert_file: Path | None = None
    """Our certificate for etcd, with `key_file`."""
    key_file: Path | None = None
    """Key of `cert_file`."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        if self.kind == "etcd" and not self.endpoints:
            raise ValueError("endpoints must name at least one member of etcd")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if self.cert_file is not None and self.ca_file is None:
            raise ValueError("cert_file needs ca_file: a certificate is only shown to a server that was checked")
        return self


class ServerSettings(Section):
    """The process's gRPC, health and metrics ports, and what it writes about itself."""

    bind: str = "127.0.0.1"
    """Address to listen on. Loopback by default, because callers of other machines need an identity."""
    port: int = Field(default=7400, ge=0, le=65_535)
    """The gRPC port; 0 takes any free one."""
    health_port: int | None = Field(default=None, ge=0, le=65_535)
    """Plaintext health, for probes that speak no TLS; `port` + 100 if unset."""
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """Prometheus' `/metrics`; `port` + 200 if unset."""
    advertise: str = ""
    """`host:port` at which other replicas and clients reach this one; `bind` and the bound port if empty."""
    trust_network: bool = False
    """Take every caller for the local principal, for networks that only Tercio's own callers can reach."""
    replica_token: SecretStr = SecretStr("")
    """Secret of the fleet's own processes, 16 characters at least; with it one may speak for its caller. Empty leaves
    loopback."""
    max_message_bytes: int = Field(default=4 << 20, ge=64 * 1024, le=64 << 20)
    """Largest request or reply message, in bytes, 64 KiB to 64 MiB: gRPC's own default, 8 times the largest commit."""
    max_unary_calls: int = Field(default=2_000, ge=1)
    """Unary calls at once, from 1: one holds about 20 kB, and more than 2,000 waiting for one commit are answered too
    late."""
    drain_ms: int = Field(default=10_000, ge=0, le=300_000)
    """Longest time from the signal to the end, in ms, up to 5 minutes: less than the 30 s after which Kubernetes kills.
    """
    otlp_endpoint: str = ""
    """Where traces are sent, `host:port` or a URL; none are recorded if empty."""
    log_format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""
    uvloop: bool = True
    """Run on uvloop where it is installed: twice the messages a second at small batches."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        token = self.replica_token.get_secret_value()
        if token and (len(token) < 16 or not token.isascii() or not token.isprintable()):
            raise ValueError("replica_token must have at least 16 characters, all printable ASCII")
        if self.port and self.port + _METRICS_OFFSET > 65_535 and None in (self.health_port, self.metrics_port):
            raise ValueError(f"port {self.port} leaves no room for health (+100) and metrics (+200): set both ports")
        return self

    def health_port_or_default(self) -> int:
        """Return the port for health: 0, any, when the gRPC port is 0."""
        return _beside(self.health_port, self.port, _HEALTH_OFFSET)

    def metrics_port_or_default(self) -> int:
        """Return the port for metrics: 0, any, when the gRPC port is 0."""
        return _beside(self.metrics_port, self.port, _METRICS_OFFSET)


class ProcessSettings(BaseSettings):
    """Everything that one process needs; a service adds a section named after itself."""

    model_config = SettingsConfigDict(
        env_prefix="TERCIO_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",  # a file may hold the sections of every service
        use_attribute_docstrings=True,
    )

    server: ServerSettings = ServerSettings()
    """Ports and telemetry."""
    store: StoreSettings = StoreSettings()
    """Journal and election."""
    host: HostSettings = HostSettings()
    """The replica."""
    registry_address: str = "localhost:7401"
    """`host:port` of the fleet's registry, of several replicas separated by commas."""
    scheduler_address: str = "localhost:7402"
    """`host:port` of the fleet's scheduler, of several replicas separated by commas."""
    conflicts_address: str = "localhost:7404"
    """`host:port` of the fleet's conflicts service, of several replicas separated by commas; empty if there is none."""
    resources_address: str = "localhost:7403"
    """`host:port` of the fleet's resources service, of several replicas separated by commas; empty if there is none."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic fixes the signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, and that over the file."""
        return init_settings, env_settings, *_file_source(settings_cls)


S = TypeVar("S", bound=ProcessSettings)


def load_settings(kind: type[S], **overrides: Any) -> S:
    """Load settings from overrides, environment and file.

    Raises:
        SettingsError: a value is out of range, unknown, or contradicts another; the message names each field and rule.
    """
    try:
        return kind(**overrides)
    except ValidationError as error:
        problems = [f"{'.'.join(str(part) for part in one['loc'])}: {_plain(one['msg'])}" for one in error.errors()]
        raise SettingsError("settings are wrong: " + "; ".join(problems)) from None


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")


def _beside(port: int | None, main: int, offset: int) -> int:
    if port is not None:
        return port
    return main + offset if main else 0


def _file_source(settings_cls: type[BaseSettings]) -> tuple[PydanticBaseSettingsSource, ...]:
    name = os.environ.get(SETTINGS_FILE)
    if not name:
        return ()
    path = Path(name)
    if not path.is_file():
        raise SettingsError(f"{SETTINGS_FILE} names {name}, which is not a file")
    if path.suffix in {".yaml", ".yml"}:
        return (YamlConfigSettingsSource(settings_cls, yaml_file=path),)
    if path.suffix == ".toml":
        return (TomlConfigSettingsSource(settings_cls, toml_file=path),)
    raise SettingsError(f"{SETTINGS_FILE} names {name}: the name must end in .yaml, .yml or .toml")

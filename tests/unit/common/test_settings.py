"""Settings are loaded from environment and file, checked against each other, and refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercio_common.errors import SettingsError
from tercio_common.settings import HostSettings, ProcessSettings, Section, ServerSettings, StoreSettings, load_settings

SECTIONS = [HostSettings, StoreSettings, ServerSettings]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERCIO_SETTINGS_FILE", raising=False)


def test_the_defaults_hold_together() -> None:
    settings = load_settings(ProcessSettings)
    assert settings.host.lease.ttl_ms == 10_000
    assert settings.server.health_port_or_default() == 7500
    assert settings.server.metrics_port_or_default() == 7600


def test_the_environment_names_section_and_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_SERVER__PORT", "7401")
    monkeypatch.setenv("TERCIO_HOST__LEASE__TTL_MS", "12000")
    monkeypatch.setenv("TERCIO_STORE__ENDPOINTS", '["a:2379", "b:2379"]')
    monkeypatch.setenv("TERCIO_REGISTRY_ADDRESS", "registry:7401")
    settings = load_settings(ProcessSettings)
    assert settings.server.port == 7401
    assert settings.host.lease.ttl_ms == 12_000
    assert settings.store.endpoints == ("a:2379", "b:2379")
    assert settings.registry_address == "registry:7401"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "server: {port: 1234, drain_ms: 5}\nscheduler: {anything: 1}\n"),
        ("s.toml", "[server]\nport = 1234\ndrain_ms = 5\n[scheduler]\nanything = 1\n"),
    ],
)
def test_the_environment_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    monkeypatch.setenv("TERCIO_SETTINGS_FILE", str(tmp_path / name))
    monkeypatch.setenv("TERCIO_SERVER__DRAIN_MS", "6")
    settings = load_settings(ProcessSettings)
    assert (settings.server.port, settings.server.drain_ms) == (1234, 6)


@pytest.mark.parametrize(("name", "message"), [("none.yaml", "not a file"), ("s.ini", "must end in")])
def test_a_settings_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "s.ini").write_text("")
    monkeypatch.setenv("TERCIO_SETTINGS_FILE", str(tmp_path / name))
    with pytest.raises(SettingsError, match=message):
        load_settings(ProcessSettings)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("TERCIO_HOST__LEASE__RENEW_INTERVAL_MS", "5000", r"host: lease: renew_interval_ms \+ 2 × rpc_timeout_ms"),
        ("TERCIO_HOST__RETRY_AGE_MS", "300000", "retry_age_ms .* must be less than request_window_ms"),
        ("TERCIO_HOST__LAG_BYTES", "99999999", "lag_bytes .* must not be over feed_bytes"),
        ("TERCIO_HOST__COMMIT_BYTES", "9999999", "host.commit_bytes: .* less than or equal to 1048576"),
        ("TERCIO_SERVER__PROT", "1", "server.prot"),
        ("TERCIO_SERVER__PORT", "65500", "leaves no room"),
        ("TERCIO_SERVER__REPLICA_TOKEN", "short", "replica_token must have at least 16 characters"),
        ("TERCIO_STORE__ENDPOINTS", "[]", "at least one member"),
        ("TERCIO_STORE__CERT_FILE", "c.pem", "go together"),
    ],
)
def test_values_that_are_wrong_are_refused_with_their_rule(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=message):
        load_settings(ProcessSettings)


def test_every_problem_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_SERVER__PORT", "-1")
    monkeypatch.setenv("TERCIO_HOST__LAZY_MS", "x")
    with pytest.raises(SettingsError, match=r"(?s)server.port.*host.lazy_ms"):
        load_settings(ProcessSettings)


def test_a_secret_is_not_shown() -> None:
    settings = ServerSettings.model_validate({"replica_token": "do not show me to them"})
    assert "do not show" not in repr(settings)


def test_ports_beside_a_free_port_are_free_ones() -> None:
    settings = ServerSettings(port=0)
    assert (settings.health_port_or_default(), settings.metrics_port_or_default()) == (0, 0)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_says_what_it_is(section: type[Section]) -> None:
    undocumented = [name for name, field in section.model_fields.items() if not field.description]
    assert undocumented == []
    units = [name for name, field in section.model_fields.items() if name.endswith("_ms")]
    assert [name for name in units if "ms" not in str(section.model_fields[name].description)] == []

"""Settings that make no sense are refused with the rule that they break."""

from __future__ import annotations

import pytest

from tercio_common.errors import SettingsError
from tercio_common.settings import load_settings
from tercio_registry.settings import RegistryProcessSettings, RegistrySettings


def test_the_defaults_are_what_the_manual_says() -> None:
    rules = RegistrySettings().rules()
    assert (rules.interval, rules.ttl, rules.retention) == (10_000, 30_000, 3_600_000)
    assert rules.degraded_after < rules.unhealthy_after < rules.ttl


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"heartbeat_interval_ms": 49}, "registry.heartbeat_interval_ms"),
        ({"heartbeat_interval_ms": 600_001}, "registry.heartbeat_interval_ms"),
        ({"retention_ms": 999}, "registry.retention_ms"),
        ({"retention_ms": 29_999}, "at least three times heartbeat_interval_ms"),
        ({"heartbeat_intervall_ms": 1_000}, "registry.heartbeat_intervall_ms"),
    ],
    ids=["beats too often", "beats too seldom", "short", "retention under ttl", "misspelt"],
)
def test_nonsense_is_refused(values: dict[str, int], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_settings(RegistryProcessSettings, registry=values)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS", "2000")
    assert load_settings(RegistryProcessSettings).registry.rules().ttl == 6_000

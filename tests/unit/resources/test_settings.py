"""The settings give the rules, and contradict nothing."""

from __future__ import annotations

import json

import pytest

from tercio_common.errors import SettingsError
from tercio_common.settings import load_settings
from tercio_resources.settings import ResourcesProcessSettings, ResourcesSettings


def test_the_first_pools_and_the_limits_of_one_owner_are_two_things() -> None:
    rules = ResourcesSettings().rules()
    assert {(pool.pool_id, pool.capacity, pool.unit) for pool in rules.default_pools} == {
        ("cpu", 100_000, "millicores"),
        ("memory", 65_536, "MB"),
        ("storage", 1_024_000, "MB"),
        ("git_worktrees", 20, "count"),
        ("network", 1_000, "Mbps"),
    }
    assert rules.owner_limits == {"cpu": 8_000, "memory": 8_192, "storage": 10_240}


@pytest.mark.parametrize(
    ("pool", "why"),
    [
        ({"dimension": "cpu", "capacity": 1, "reserve": 2}, "must not be over capacity"),
        ({"dimension": "cpu", "capacity": 1, "unit": "cores"}, "counts in millicores"),
        ({"dimension": "gpu", "capacity": 1}, "unit must say"),
    ],
    ids=["reserve", "unit", "no unit"],
)
def test_a_pool_that_contradicts_itself_is_refused(
    monkeypatch: pytest.MonkeyPatch, pool: dict[str, object], why: str
) -> None:
    monkeypatch.setenv("TERCIO_RESOURCES__POOLS", json.dumps({"p": pool}))
    with pytest.raises(SettingsError, match=why):
        load_settings(ResourcesProcessSettings)

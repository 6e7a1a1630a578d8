"""What the services may hold fits into the store, or they do not start."""

from __future__ import annotations

from typing import Any

import pytest

from tercio_common.errors import SettingsError
from tercio_common.journal.budget import SERVICES, Budget
from tercio_common.settings import HostSettings

MIB, GIB = 1 << 20, 1 << 30


def budget(service: str = "scheduler", *, quota: int = 0, **settings: Any) -> Budget:
    return Budget(service, HostSettings.model_validate(settings), quota=quota)


@pytest.mark.parametrize(
    ("quota", "scheduler", "others"),
    [(8 * GIB, 512 * MIB, 64 * MIB), (2 * GIB, 128 * MIB, 16 * MIB), (0, 512 * MIB, 64 * MIB)],
    ids=["8 GiB", "2 GiB", "no quota"],
)
def test_by_default_each_service_has_its_share_of_the_quota(quota: int, scheduler: int, others: int) -> None:
    shares = {name: budget(name, quota=quota).live_bytes for name in SERVICES}
    assert shares == {**dict.fromkeys(SERVICES, others), "scheduler": scheduler}


@pytest.mark.parametrize("quota", [0, 4 * MIB, 64 * MIB, 2 * GIB, 8 * GIB, 100 * GIB])
def test_the_shares_fit_into_any_store(quota: int) -> None:
    for name in SERVICES:
        assert budget(name, quota=quota).checked().quota == quota


def test_more_than_fits_is_refused_in_every_process_with_what_to_do() -> None:
    for name in SERVICES:
        with pytest.raises(SettingsError, match=r"resources 600,.* lower host.live_bytes"):
            budget(name, quota=8 * GIB, live_bytes={"resources": 600 * MIB}).checked()


def test_room_that_one_service_leaves_another_one_may_take() -> None:
    settings = {"live_bytes": {"scheduler": 64 * MIB, "resources": 500 * MIB}}
    assert budget("resources", quota=8 * GIB, **settings).checked().live_bytes == 500 * MIB
    assert budget("scheduler", quota=8 * GIB, **settings).checked().tail_bytes == 8 * MIB


def test_the_audit_trail_counts_too() -> None:
    assert budget(quota=8 * GIB).audit_bytes == 32 * MIB
    with pytest.raises(SettingsError, match="audit_bytes"):
        budget(quota=8 * GIB, audit_bytes=128 * MIB).checked()


def test_a_store_without_a_quota_holds_anything() -> None:
    assert budget(live_bytes={"scheduler": 4 * GIB}).checked().live_bytes == 4 * GIB

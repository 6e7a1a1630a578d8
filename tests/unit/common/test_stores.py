"""The settings choose the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tercio_common.clock import SystemClock
from tercio_common.election.renewal import LeaseSettings
from tercio_common.errors import StoreError
from tercio_common.settings import StoreSettings
from tercio_common.stores import open_store


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kind": "memory"}, "MemoryStore"),
        ({"kind": "sqlite"}, "SqliteStore"),
        ({"kind": "etcd", "endpoints": ["localhost:1"]}, "EtcdStore"),
    ],
    ids=["memory", "sqlite", "etcd"],
)
async def test_each_kind_opens_its_own_store(tmp_path: Path, given: dict[str, Any], expected: str) -> None:
    settings = StoreSettings.model_validate({"path": tmp_path / "t.db", **given})
    store = open_store(settings, lease=LeaseSettings(), clock=SystemClock())
    assert type(store).__name__ == expected
    assert store.journal("registry") is not None
    assert store.election("registry") is not None
    await store.close()


async def test_a_file_belongs_to_one_process(tmp_path: Path) -> None:
    settings = StoreSettings(kind="sqlite", path=tmp_path / "t.db")
    first = open_store(settings, lease=LeaseSettings(), clock=SystemClock())
    with pytest.raises(StoreError):
        open_store(settings, lease=LeaseSettings(), clock=SystemClock())
    await first.close()

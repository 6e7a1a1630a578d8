"""Cycles are still found when searches are rare."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from tercio_common.garbage import tune_for_many_rows


class _Node:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def _settings_restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("_settings_restored")
def test_a_young_cycle_is_freed_without_a_full_search() -> None:
    tune_for_many_rows()
    full_searches = gc.get_stats()[2]["collections"]
    dead = weakref.ref(_Node())
    kept = [[] for _ in range(50_000)]  # type: list[list[int]]
    assert dead() is None
    assert len(kept) == 50_000
    assert gc.get_stats()[2]["collections"] == full_searches

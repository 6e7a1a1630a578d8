"""One resources service on the memory store, on time that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.resources import Resources, running_resources
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
async def resources(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Resources]:
    async with running_resources(store, clock=clock) as running:
        yield running

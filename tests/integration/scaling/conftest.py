"""One scaling service on the memory store, on time that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.scaling import Scaling, running_scaling
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
async def scaling(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Scaling]:
    async with running_scaling(store, clock=clock) as running:
        yield running

"""One scheduler on the memory store, on time that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.scheduler_service import Scheduler, running_scheduler
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
async def scheduler(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Scheduler]:
    async with running_scheduler(store, clock=clock) as running:
        yield running

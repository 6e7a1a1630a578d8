"""One conflicts service on the memory store, on time that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.conflicts import Conflicts, running_conflicts
from support.disputes import Disputes, disputes_of
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
async def conflicts(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Conflicts]:
    async with running_conflicts(store, clock=clock) as running:
        yield running


@pytest.fixture
async def disputes(conflicts: Conflicts) -> AsyncIterator[Disputes]:
    async with disputes_of(conflicts) as connected:
        yield connected

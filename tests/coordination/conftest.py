"""One conflicts service on the memory store, with an architect and consultants to ask."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.conflicts import running_conflicts
from support.disputes import Disputes, disputes_of
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock
from tercio_conflicts.dispute_settings import DisputeSettings
from tercio_conflicts.settings import ConflictsSettings


@pytest.fixture
async def disputes() -> AsyncIterator[Disputes]:
    clock = ManualClock()
    settings = ConflictsSettings(disputes=DisputeSettings(consultants=("x", "y", "z")))
    async with (
        running_conflicts(MemoryStore(clock=clock), clock=clock, settings=settings) as claims,
        disputes_of(claims) as connected,
    ):
        yield connected

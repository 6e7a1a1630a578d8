"""One replica of the echo service that leads, and a fleet of counters."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.counter_fleet import CounterFleet
from support.edge import Edge, running_edge


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with running_edge() as running:
        yield running


@pytest.fixture
async def fleet() -> AsyncIterator[CounterFleet]:
    running = CounterFleet()
    yield running
    await running.close()

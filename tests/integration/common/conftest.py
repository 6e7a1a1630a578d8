"""One replica of the echo service that leads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.edge import Edge, running_edge


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with running_edge() as running:
        yield running

"""`tercio queues` against a real fleet."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(60)


def test_what_waits_is_listed_with_what_it_needs(tercio: Tercio) -> None:
    tercio("submit", "--type", "render", "--capability", "gpu=90", "--payload", "{}")
    (queue,) = [
        each for each in json.loads(tercio("queues", "list", "-o", "json").stdout) if each["task_type"] == "render"
    ]
    assert (queue["required_capabilities"], queue["waiting_count"]) == ({"gpu": 90}, 1)
    line = next(line for line in tercio("queues", "list", "-o", "wide").stdout.splitlines() if "render" in line)
    assert "gpu=90" in line

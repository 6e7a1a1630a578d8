"""When a failed task is tried again.

The wait grows exponentially and is spread by up to a fifth either way, so that tasks that failed together do not come
back together. The spread is a hash of task and failure: every replica computes the same.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from tercio_scheduler.state.rows import Template

_SPREAD_PERMILLE: Final = 200
MOST_ERRORS: Final = 100
"""Errors kept a task; `max_attempts` is at most as high."""


def backoff_ms(task_id: str, *, failures: int, template: Template) -> int:
    """Return the wait after this many failures, at least 1 of them."""
    wait = template.initial_backoff_ms
    for _ in range(failures - 1):
        if wait >= template.max_backoff_ms:
            break
        wait = wait * template.multiplier_permille // 1000
    wait = min(wait, template.max_backoff_ms)
    spread = crc32(f"{task_id}/{failures}".encode()) % (2 * _SPREAD_PERMILLE + 1) - _SPREAD_PERMILLE
    return min(wait * (1000 + spread) // 1000, template.max_backoff_ms)

"""What the table of postponements holds."""

from __future__ import annotations

from typing import NamedTuple


class PostponementRow(NamedTuple):
    """A task, the key, that waits until another one has ended."""

    task_id: str
    after_task_id: str

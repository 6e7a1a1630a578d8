"""What is done to tasks for the sake of others, as records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tercio_scheduler.records.v1 import events_pb2 as records
from tercio_scheduler.state.events import TaskPostponed, TaskPriorityRaised
from tercio_scheduler.state.postponement_rows import PostponementRow

ENCODERS: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    TaskPriorityRaised: ("task_priority_raised", lambda event: records.TaskPriorityRaised(**event._asdict())),
    TaskPostponed: (
        "task_postponed",
        lambda event: records.TaskPostponed(
            task_id=event.task_id, after_task_id=event.after_task_id, until_ms=event.until
        ),
    ),
}
DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "task_priority_raised": lambda message: TaskPriorityRaised(message.task_id, message.priority),
    "task_postponed": lambda message: TaskPostponed(message.task_id, message.after_task_id, message.until_ms),
}


def row_of(message: records.PostponementRow) -> PostponementRow:
    """Return the row that a record holds."""
    return PostponementRow(message.task_id, message.after_task_id)

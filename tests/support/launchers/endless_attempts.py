"""Mutation of G9: failures are not added up, so a poison task is tried for ever."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch
from tercio_common.machine.protocol import Moment
from tercio_scheduler.state import transitions
from tercio_scheduler.state.columns import Failure
from tercio_scheduler.state.rows import TaskRow

_failed = transitions.failed


def _fail_for_the_first_time(
    row: TaskRow, failure: Failure, at: Moment, *, position: int, run_micros: int = 0
) -> TaskRow:
    row = row._replace(past=row.past._replace(failures=0))
    return _failed(row, failure, at, position=position, run_micros=run_micros)


if __name__ == "__main__":
    mutated: Any = transitions
    mutated.failed = _fail_for_the_first_time
    launch()

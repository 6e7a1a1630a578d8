"""Mutation of G2: a report counts whichever attempt of the task it is about."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch
from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import reports
from tercio_scheduler.state.commands import Reported, ReportWork
from tercio_scheduler.state.events import WorkFrameApplied
from tercio_scheduler.state.tables import SchedulerTables


def _believe(tables: SchedulerTables, command: ReportWork, at: Moment) -> Decision:
    event = WorkFrameApplied(command.agent_id, command.instance_id, command.frame, command.columns)
    return Decision((event,), Reported())


if __name__ == "__main__":
    mutated: Any = reports
    mutated.decide = _believe
    launch()

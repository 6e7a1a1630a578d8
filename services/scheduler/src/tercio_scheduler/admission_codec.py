"""Admissions as records."""

from __future__ import annotations

from tercio_common.epochs import Epoch
from tercio_scheduler.records.v1 import events_pb2 as records
from tercio_scheduler.state.admission_rows import AdmissionRow
from tercio_scheduler.state.events import AdmissionsStarted
from tercio_scheduler.state.participants import RESOURCES


def started_record(event: AdmissionsStarted) -> records.AdmissionsStarted:
    """Return the event as a record."""
    return records.AdmissionsStarted(task_ids=event.task_ids, numbers=event.numbers)


def started_of(message: records.AdmissionsStarted) -> AdmissionsStarted:
    """Return the event that a record holds."""
    return AdmissionsStarted(tuple(message.task_ids), tuple(message.numbers))


def row_record(row: AdmissionRow) -> records.AdmissionRow:
    """Return the row as a record."""
    return records.AdmissionRow(
        task_id=row.task_id,
        epoch_generation=row.epoch.generation,
        epoch_revision=row.epoch.revision,
        number=row.number,
        granted=row.granted,
        participants=row.participants,
    )


def row_of(message: records.AdmissionRow) -> AdmissionRow:
    """Return the row that a record holds."""
    epoch = Epoch(message.epoch_generation, message.epoch_revision)
    participants = tuple(message.participants) or (RESOURCES,)
    return AdmissionRow(message.task_id, epoch, message.number, message.granted, participants)

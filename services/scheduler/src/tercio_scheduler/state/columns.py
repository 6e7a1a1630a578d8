"""Frames as plain Python columns: what the edge decodes on receipt and the codec on replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tercio_common.epochs import Epoch
from tercio_scheduler.state.rows import Outcome, Template

NOTHING_BY_INDEX: Final[Mapping[int, Any]] = MappingProxyType({})


class SubmitColumns(NamedTuple):
    """A validated `SubmitFrame`. The sequences are never changed after construction.

    Attributes:
        templates: at least one.
        task_ids: unique, none empty.
        payloads: one a task; empty when all are empty.
        template_indexes: one a task; empty when all use the first template.
        dependencies: parents by index in `task_ids`, only of tasks that have any; unique, none is the task itself.
        plan_id: empty when none.
    """

    templates: tuple[Template, ...]
    task_ids: Sequence[str]
    payloads: Sequence[bytes] = ()
    template_indexes: Sequence[int] = ()
    dependencies: Mapping[int, tuple[str, ...]] = NOTHING_BY_INDEX
    plan_id: str = ""


class AttemptColumns(NamedTuple):
    """Attempts, one a task id.

    Attributes:
        task_ids: the tasks.
        numbers: one a task.
        epochs: those that occur; empty only when there are no attempts.
        epoch_indexes: one a task; empty when all are of the first epoch.
    """

    task_ids: Sequence[str] = ()
    numbers: Sequence[int] = ()
    epochs: tuple[Epoch, ...] = ()
    epoch_indexes: Sequence[int] = ()

    def epoch(self, index: int) -> Epoch:
        """Return the epoch of the attempt at this index."""
        return self.epochs[self.epoch_indexes[index] if self.epoch_indexes else 0]


class Failure(NamedTuple):
    """Why an attempt failed; a permanent one is not tried again."""

    reason: str
    message: str
    permanent: bool = False


NO_ATTEMPTS: Final = AttemptColumns()


class WorkColumns(NamedTuple):
    """A validated `WorkFrame`.

    Attributes:
        started: attempts that began to run.
        ended: attempts that ended.
        outcomes: one for each of `ended`; empty when all succeeded.
        results: one for each of `ended`; empty when all are empty.
        run_micros: one for each of `ended`; empty when unknown.
        failures: by index in `ended`, for those that failed.
        checkpointed: attempts with a new checkpoint.
        checkpoints: by index in `checkpointed`.
    """

    started: AttemptColumns = NO_ATTEMPTS
    ended: AttemptColumns = NO_ATTEMPTS
    outcomes: Sequence[Outcome] = ()
    results: Sequence[bytes] = ()
    run_micros: Sequence[int] = ()
    failures: Mapping[int, Failure] = NOTHING_BY_INDEX
    checkpointed: AttemptColumns = NO_ATTEMPTS
    checkpoints: Mapping[int, bytes] = NOTHING_BY_INDEX


def bitmap(flags: Sequence[bool]) -> bytes:
    """Pack flags, the first in the lowest bit of the first byte; all set gives no bytes at all."""
    if all(flags):
        return b""
    packed = bytearray((len(flags) + 7) // 8)
    for index, flag in enumerate(flags):
        if flag:
            packed[index >> 3] |= 1 << (index & 7)
    return bytes(packed)


def is_set(packed: bytes, index: int) -> bool:
    """Tell whether the flag at `index` was set when `packed` was made by `bitmap`."""
    return not packed or bool(packed[index >> 3] >> (index & 7) & 1)

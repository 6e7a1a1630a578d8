"""The Work stream's messages: what agents say is checked and brought into columns, what they are told is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.api.type.v1 import epoch_pb2
from tercio_common.epochs import Epoch
from tercio_scheduler.frames import attempt_columns, work_columns
from tercio_scheduler.state.commands import AttachAgent, AttemptKey, ReportWork
from tercio_scheduler.state.rows import Outcome, TaskRow
from tercio_scheduler.translate.bounds import MAX_FRAME, MAX_MESSAGE, REASON, SESSION_ID, YEARS_MS, Bounds

_INSTANCE_ID_BYTES: Final = 16
_MAX_CONCURRENCY: Final = 10_000
_MAX_CREDIT: Final = 100_000
"""Far over concurrency and prefetch, and low enough that an agent's lease never covers the whole backlog."""
_MAX_TASK_TYPES: Final = 1000
_MAX_RUN_MICROS: Final = YEARS_MS * 1000
_OUTCOMES: Final = frozenset(int(outcome) for outcome in Outcome)
_FAILED: Final = int(Outcome.FAILED)


class Introduction(NamedTuple):
    """A valid Hello: the command, and what only the session keeps."""

    attach: AttachAgent
    capabilities: dict[str, int]
    concurrency: int
    task_types: tuple[str, ...]
    session_id: str
    draining: bool


def introduction_of(request: work_pb2.WorkRequest) -> Introduction:
    """Return what the first message of a stream says.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    found = Bounds()
    found.check("hello", request.HasField("hello"), "must be set in the first message")
    found.raise_if_any()
    hello = request.hello
    found.check_id("hello.agent_id", hello.agent_id)
    count = len(hello.instance_id)
    found.check("hello.instance_id", count == _INSTANCE_ID_BYTES, f"must have {_INSTANCE_ID_BYTES} bytes, has {count}")
    found.check_capabilities("hello.capabilities", hello.capabilities)
    found.check_range("hello.concurrency", hello.concurrency, least=1, most=_MAX_CONCURRENCY)
    if found.check_length("hello.task_types", hello.task_types, most=_MAX_TASK_TYPES, unit="task types"):
        for index, task_type in enumerate(hello.task_types):
            found.check_id(f"hello.task_types[{index}]", task_type)
    found.check_pattern("hello.session_id", hello.session_id, SESSION_ID)
    _check_attempts(found, "hello.offered", hello.offered)
    _check_attempts(found, "hello.started", hello.started)
    found.raise_if_any()
    attach = AttachAgent(
        agent_id=hello.agent_id,
        instance_id=hello.instance_id,
        offered=attempt_columns(hello.offered),
        started=attempt_columns(hello.started),
    )
    return Introduction(
        attach, dict(hello.capabilities), hello.concurrency, tuple(hello.task_types), hello.session_id, hello.draining
    )


def check_request(request: work_pb2.WorkRequest, *, first: bool) -> None:
    """Check a message of the stream but for its Hello and its frame.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    found = Bounds()
    if not first:
        found.check("hello", not request.HasField("hello"), "must be set in the first message only")
    has_frame = request.HasField("frame")
    found.check("frame_number", has_frame == (request.frame_number > 0), "must be set with a frame and only with one")
    found.check_range("credit", request.credit, least=0, most=_MAX_CREDIT)
    if request.HasField("progress"):
        _check_progress(found, request.progress)
    found.raise_if_any()


def report_of(frame: work_pb2.WorkFrame, *, agent_id: str, instance_id: bytes) -> ReportWork:
    """Return the command of one frame.

    Raises:
        Refusal: INVALID_ARGUMENT, PAYLOAD_TOO_LARGE; the whole frame is refused.
    """
    found = Bounds()
    size = frame.ByteSize()
    found.check("frame", size <= MAX_FRAME, f"must have at most {MAX_FRAME} bytes, has {size}")
    found.raise_if_any()
    _check_frame(found, frame)
    found.raise_if_any()
    return ReportWork(
        agent_id=agent_id, instance_id=instance_id, columns=work_columns(frame), frame=frame.SerializeToString()
    )


def columns_of(keys: Iterable[AttemptKey]) -> work_pb2.AttemptColumns:
    """Return attempts as the stream names them."""
    columns = work_pb2.AttemptColumns()
    places: dict[Epoch, int] = {}
    for task_id, epoch, number in keys:
        columns.task_ids.append(task_id)
        columns.numbers.append(number)
        columns.epoch_indexes.append(places.setdefault(epoch, len(places)))
    columns.epochs.extend(epoch_message(epoch) for epoch in places)
    if len(places) <= 1:
        del columns.epoch_indexes[:]
    return columns


def epoch_message(epoch: Epoch) -> epoch_pb2.Epoch:
    """Return an epoch as a message."""
    return epoch_pb2.Epoch(generation=epoch.generation, revision=epoch.revision)


def assignments_of(rows: Sequence[TaskRow], numbers: Sequence[int]) -> work_pb2.Assignments:
    """Return attempts for an agent; `rows` are the tasks as they were while READY."""
    types: dict[str, int] = {}
    type_indexes: list[int] = []
    timeouts: list[int] = []
    extras: list[work_pb2.Assignments.Extra] = []
    for index, row in enumerate(rows):
        template = row.spec.template
        type_indexes.append(types.setdefault(template.task_type, len(types)))
        timeouts.append(template.attempt_timeout_ms)
        past, deadline = row.past, row.spec.deadline
        if past.failures or past.checkpoint or deadline or template.holds:
            extras.append(
                work_pb2.Assignments.Extra(
                    index=index,
                    checkpoint=past.checkpoint,
                    failures=past.failures,
                    deadline_unix_ms=deadline,
                    has_resources=template.holds,
                    claim_count=len(template.claims),
                    worktree_count=dict(template.resources).get("git_worktrees", 0),
                )
            )
    payloads = [row.spec.payload for row in rows]
    return work_pb2.Assignments(
        task_ids=[row.task_id for row in rows],
        numbers=numbers,
        task_types=types,
        type_indexes=type_indexes if len(types) > 1 else (),
        payloads=payloads if any(payloads) else (),
        extras=extras,
        timeout_ms=timeouts if len(set(timeouts)) > 1 else timeouts[:1],
    )


def _check_attempts(found: Bounds, field: str, columns: work_pb2.AttemptColumns) -> int:
    """Check columns of attempts; return how many there are."""
    task_ids = columns.task_ids[:]
    count = len(task_ids)
    numbers, indexes = columns.numbers[:], columns.epoch_indexes[:]
    found.check_task_ids(f"{field}.task_ids", task_ids)
    even = found.check_column(f"{field}.numbers", numbers, count=count, of="task_ids", optional=False)
    even &= found.check_column(f"{field}.epoch_indexes", indexes, count=count, of="task_ids")
    even &= found.check_indexes(f"{field}.epoch_indexes", indexes, count=len(columns.epochs), of="epochs")
    even &= found.check(f"{field}.epochs", not count or len(columns.epochs) > 0, "must hold the attempts' epochs")
    if even and len(set(task_ids)) != count:
        keys = list(zip(task_ids, numbers, indexes or [0] * count, strict=True))
        found.check(f"{field}.task_ids", len(set(keys)) == count, "must not name an attempt twice")
    return count


def _check_frame(found: Bounds, frame: work_pb2.WorkFrame) -> None:
    _check_attempts(found, "frame.started", frame.started)
    _check_ended(found, frame, count=_check_attempts(found, "frame.ended", frame.ended))
    _check_checkpoints(found, frame, count=_check_attempts(found, "frame.checkpointed", frame.checkpointed))


def _check_ended(found: Bounds, frame: work_pb2.WorkFrame, *, count: int) -> None:
    outcomes, results, micros = frame.outcomes[:], frame.results[:], frame.run_micros[:]
    found.check_column("frame.outcomes", outcomes, count=count, of="ended")
    for outcome in set(outcomes) - _OUTCOMES:
        found.check_one_of(f"frame.outcomes[{outcomes.index(outcome)}]", outcome, _OUTCOMES)
    found.check_column("frame.results", results, count=count, of="ended")
    found.check_bodies("frame.results", results)
    found.check_column("frame.run_micros", micros, count=count, of="ended")
    if micros and max(micros) > _MAX_RUN_MICROS:
        found.check_range(f"frame.run_micros[{micros.index(max(micros))}]", max(micros), least=0, most=_MAX_RUN_MICROS)
    if not frame.failures:
        return
    indexes = [failure.index for failure in frame.failures]
    found.check_unique("frame.failures", indexes)
    if found.check_indexes("frame.failures", indexes, count=min(count, len(outcomes)), of="outcomes"):
        failed = all(outcomes[index] == _FAILED for index in indexes)
        found.check("frame.failures", failed, "must be of attempts whose outcome is FAILED")
    for place, failure in enumerate(frame.failures):
        found.check_pattern(f"frame.failures[{place}].reason", failure.reason, REASON)
        found.check_text(f"frame.failures[{place}].message", failure.message, most=MAX_MESSAGE)


def _check_checkpoints(found: Bounds, frame: work_pb2.WorkFrame, *, count: int) -> None:
    indexes = [checkpoint.index for checkpoint in frame.checkpoints]
    found.check_column("frame.checkpoints", indexes, count=count, of="checkpointed", optional=False)
    found.check_unique("frame.checkpoints", indexes)
    found.check_indexes("frame.checkpoints", indexes, count=count, of="checkpointed")
    for place, checkpoint in enumerate(frame.checkpoints):
        found.check_body(f"frame.checkpoints[{place}].data", checkpoint.data)


def _check_progress(found: Bounds, progress: work_pb2.ProgressFrame) -> None:
    size = progress.ByteSize()
    found.check("progress", size <= MAX_FRAME, f"must have at most {MAX_FRAME} bytes, has {size}")
    found.raise_if_any()
    count = _check_attempts(found, "progress.attempts", progress.attempts)
    percents = progress.percents[:]
    found.check_column("progress.percents", percents, count=count, of="attempts", optional=False)
    if percents and max(percents) > 100:
        found.check_range(f"progress.percents[{percents.index(max(percents))}]", max(percents), least=0, most=100)

"""The contract of system tasks at the edge of any service that owns some: translation, and the watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.type.v1 import system_task_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.ids import decode_cursor, encode_cursor
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.machine.system_tasks import SYSTEM_TASKS, Result, SystemTaskOutcome, SystemTaskRow, SystemTasks
from tercio_common.machine.term import Term
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_common.rpc.watching import watched

MOST_OUTCOMES = 100
MOST_BYTES = 64 << 10
_MAX_MESSAGE = 1_024
_MAX_MS = 24 * 3_600_000
_REPORTED = frozenset(Result) - {Result.UNREPORTED}
_CURSOR = "system-tasks"
_SHARD = 0


def task_message(row: SystemTaskRow) -> pb.SystemTask:
    """Return the message of an open system task."""
    created = Timestamp()
    created.FromMilliseconds(row.created_wall)
    timeout = Duration()
    timeout.FromMilliseconds(row.timeout)
    return pb.SystemTask(
        system_task_id=row.system_task_id,
        kind=row.kind,
        target_agent_id=row.agent_id,
        target_incarnation=row.incarnation,
        target_instance_id=row.instance_id,
        input=row.input,
        timeout=timeout,
        create_time=created,
    )


def outcomes_of(messages: Iterable[pb.SystemTaskOutcome]) -> tuple[SystemTaskOutcome, ...]:
    """Translate the field `outcomes` of a report.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    outcomes, found, seen = list(messages), Violations(), set[str]()
    found.check_length("outcomes", outcomes, least=1, most=MOST_OUTCOMES, unit="outcomes")
    for index, one in enumerate(outcomes):
        field = f"outcomes[{index}]"
        found.check_id(f"{field}.system_task_id", one.system_task_id)
        found.check(f"{field}.system_task_id", one.system_task_id not in seen, "is in the same report twice")
        seen.add(one.system_task_id)
        found.check_one_of(f"{field}.result", one.result, _REPORTED)
        found.check_length(f"{field}.output", one.output, most=MOST_BYTES, unit="bytes")
        found.check_length(f"{field}.error_reason", one.error_reason, most=MAX_TEXT)
        found.check_length(f"{field}.error_message", one.error_message, most=_MAX_MESSAGE)
        for name in ("wait_duration", "run_duration"):
            found.check_duration(f"{field}.{name}", getattr(one, name), least_ms=0, most_ms=_MAX_MS)
    found.raise_if_any()
    return tuple(map(_outcome, outcomes))


async def watch(host: Host, cursor: str) -> AsyncGenerator[tuple[str, pb.SystemTask | None], None]:
    """Give each system task as it is opened, with the cursor after it; None only moves the cursor.

    Without a cursor it begins with every open one, and afterwards leaves none out that is open. Those of the last
    record are repeated after a resume, unless they have ended: who has forgotten them would carry them out twice.

    Raises:
        Refusal: CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
    """
    term = host.term
    position = _decode(cursor) if cursor else term.tip.seq
    opened = [] if cursor else [task_message(row) for row in _table(term).table.values()]
    await term.committed(min(position, term.tip.seq))
    feed = term.feed.subscribe(position)
    for message in opened:
        yield "", message
    async with aclosing(watched(term, feed, _Reader(_table(term), position), clock=host.clock)) as messages:
        async for shown in messages:
            yield shown


class _Reader:
    """What one watch has shown so far."""

    def __init__(self, present: SystemTasks, seq: int) -> None:
        self._present, self._seq = present, seq

    @property
    def cursor(self) -> str:
        return _encode(self._seq)

    def messages(self, entries: list[FeedEntry]) -> Iterator[tuple[str, pb.SystemTask | None]]:
        for entry in entries:
            self._seq = entry.seq - 1
            for message in _opened(entry, self._present):
                yield self.cursor, message

    def bookmark(self, seq: int) -> tuple[str, pb.SystemTask | None]:
        self._seq = seq
        return self.cursor, None


def _opened(entry: FeedEntry, present: SystemTasks) -> Iterable[pb.SystemTask]:
    rows = entry.changes.rows(SYSTEM_TASKS).values()
    return [task_message(row) for row in rows if row is not None and row.system_task_id in present.table]


def _table(term: Term) -> SystemTasks:
    found: SystemTasks = term.machine.system_tasks  # type: ignore[attr-defined]
    return found


def _outcome(message: pb.SystemTaskOutcome) -> SystemTaskOutcome:
    return SystemTaskOutcome(
        system_task_id=message.system_task_id,
        result=Result(message.result),
        output=message.output,
        error_reason=message.error_reason,
        error_message=message.error_message,
        wait=message.wait_duration.ToMilliseconds() if message.HasField("wait_duration") else -1,
        run=message.run_duration.ToMilliseconds() if message.HasField("run_duration") else -1,
    )


def _encode(seq: int) -> str:
    return encode_cursor(_CURSOR, shard=_SHARD, position=str(seq))


def _decode(text: str) -> int:
    try:
        shard, position = decode_cursor(_CURSOR, text)
        seq = int(position)
    except ValueError as error:
        raise _invalid() from error
    if shard != _SHARD or seq < 0:
        raise _invalid()
    return seq


def _invalid() -> Refusal:
    return Refusal("CURSOR_INVALID", "the cursor was not made by this service for this call; watch without one")

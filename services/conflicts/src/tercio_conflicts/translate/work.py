"""What is worked on: contract to domain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_conflicts.state.situation import Work

_MOST_WORK: Final = 5_000
_MOST_CHECKED: Final = 100
_MOST_NAMED: Final = 100
_MOST_PATH: Final = 1_024
_MOST_OWNER: Final = 200
_MOST_DIMENSIONS: Final = 64
_MOST_AMOUNT: Final = 10**15
_MOST_VALUE: Final = 10**9
_MOST_REMAINING_MS: Final = 365 * 24 * 3_600_000
_MAX_PRIORITY: Final = 9


class Told(NamedTuple):
    """What a reporter tells."""

    reporter: str
    work: tuple[Work, ...]
    capacities: Mapping[str, int]


def told_of(request: pb.ReportWorkRequest) -> Told:
    """Translate a report. Raises INVALID_ARGUMENT."""
    found = Violations()
    found.check_id("reporter", request.reporter)
    work = _work_of(request.work, found, least=0, most=_MOST_WORK)
    _check_amounts("capacities", request.capacities, found)
    found.raise_if_any()
    return Told(request.reporter, work, dict(request.capacities))


def checked_of(request: pb.CheckConflictsRequest) -> tuple[Work, ...]:
    """Return the work of a dry run. Raises INVALID_ARGUMENT."""
    found = Violations()
    work = _work_of(request.work, found, least=1, most=_MOST_CHECKED)
    found.raise_if_any()
    return work


def _work_of(given: Sequence[conflict_pb2.Work], found: Violations, *, least: int, most: int) -> tuple[Work, ...]:
    found.check_length("work", given, least=least, most=most, unit="entries")
    return tuple(_work(f"work[{index}]", each, found) for index, each in enumerate(given[:most]))


def _work(field: str, given: conflict_pb2.Work, found: Violations) -> Work:
    found.check_length(f"{field}.task_id", given.task_id, least=1, most=MAX_TEXT)
    found.check_length(f"{field}.agent_id", given.agent_id, most=MAX_TEXT)
    found.check_length(f"{field}.owner", given.owner, most=_MOST_OWNER)
    found.check_length(f"{field}.role", given.role, most=MAX_TEXT)
    found.check_range(f"{field}.priority", given.priority, least=0, most=_MAX_PRIORITY)
    found.check_range(f"{field}.business_value", given.business_value, least=0, most=_MOST_VALUE)
    found.check_length(f"{field}.worktree", given.worktree, most=_MOST_PATH)
    _check_names(f"{field}.waits_for", given.waits_for, found, longest=MAX_TEXT)
    _check_names(f"{field}.files", given.files, found, longest=_MOST_PATH)
    _check_amounts(f"{field}.amounts", given.amounts, found)
    remaining = found.check_duration(f"{field}.remaining", given.remaining, least_ms=0, most_ms=_MOST_REMAINING_MS)
    return Work(
        task_id=given.task_id,
        agent_id=given.agent_id,
        role=given.role,
        unique_role=given.unique_role,
        running=not given.waiting,
        priority=given.priority,
        deadline=given.deadline.ToMilliseconds() if given.HasField("deadline") else 0,
        remaining=remaining,
        value=given.business_value,
        waits_for=tuple(given.waits_for),
        files=tuple(given.files),
        worktree=given.worktree,
        amounts=tuple(sorted(given.amounts.items())),
        owner=given.owner,
    )


def _check_names(field: str, given: Collection[str], found: Violations, *, longest: int) -> None:
    found.check_length(field, given, most=_MOST_NAMED, unit="entries")
    for index, each in enumerate(given):
        found.check_length(f"{field}[{index}]", each, least=1, most=longest)


def _check_amounts(field: str, given: Mapping[str, int], found: Violations) -> None:
    found.check_length(field, given, most=_MOST_DIMENSIONS, unit="dimensions")
    for name, amount in given.items():
        found.check_id(f"{field}[{name[:MAX_TEXT]}]", name)
        found.check_range(f"{field}[{name[:MAX_TEXT]}]", amount, least=0, most=_MOST_AMOUNT)

"""File access: several agents write one file, mean to, or wait for one that another keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tercio_conflicts.state.detectors.protocol import RESOURCE_CONTENTION, Finding, conflict_id, labels
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Situation, Work
from tercio_conflicts.state.things import Kind, Thing

_FILES = frozenset({Kind.FILE, Kind.GLOB})


class FileAccess:
    """Files and globs."""

    name = "file_access"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        yield from _unclaimed(situation)
        yield from _contended(situation, _FILES, prefix="file_conflict", access="file_access")


class OtherAccess:
    """Branches, services, topics and whatever else has a name."""

    name = "named_access"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        others = frozenset(Kind) - _FILES - {Kind.WORKTREE}
        yield from _contended(situation, others, prefix="access_conflict", access="named_access")


class WorktreeAccess:
    """Working trees of git, claimed or worked in without a claim."""

    name = "worktrees"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        trees = ((each.worktree, each) for each in situation.work if each.worktree and each.running)
        yield from _shared(trees, prefix="worktree_conflict", access="worktree_access")
        kinds = frozenset({Kind.WORKTREE})
        yield from _contended(situation, kinds, prefix="worktree_conflict", access="worktree_access")


def _unclaimed(situation: Situation) -> Iterator[Finding]:
    files = ((path, each) for each in situation.work if each.running for path in each.files)
    yield from _shared(files, prefix="file_conflict", access="file_access")


def _shared(uses: Iterable[tuple[str, Work]], *, prefix: str, access: str) -> Iterator[Finding]:
    """Give what several agents use at once without claims."""
    users: dict[str, list[Work]] = {}
    for name, work in uses:
        users.setdefault(name, []).append(work)
    for name, works in users.items():
        agents = sorted({each.agent_id for each in works} - {""})
        if len(agents) > 1:
            yield Finding(
                conflict_id(prefix, name),
                RESOURCE_CONTENTION,
                tuple(agents),
                _severity(len(agents), priority=max(each.priority for each in works)),
                1.0,
                labels(resource=name, type=access, claimed="no"),
                tasks=tuple(sorted({each.task_id for each in works})),
            )


def _contended(situation: Situation, kinds: frozenset[Kind], *, prefix: str, access: str) -> Iterator[Finding]:
    """Give each claim that others mean to take as well, or have waited for longer than the patience."""
    rivals: dict[int, set[str]] = {}
    numbers: dict[int, set[int]] = {}
    for one, other in situation.overlapping:
        if one.thing.kind in kinds:
            first = min(one, other, key=lambda row: row.number)
            rivals.setdefault(first.number, set()).update({one.owner, other.owner})
            numbers.setdefault(first.number, set()).update({one.number, other.number})
    for wait in situation.waits:
        held = [number for number in wait.holders if situation.claims[number].thing.kind in kinds]
        if held and situation.now - wait.since >= situation.patience:
            first_held = min(held)
            rivals.setdefault(first_held, {situation.claims[first_held].owner}).add(wait.owner)
            numbers.setdefault(first_held, set()).update(held)
    for number in sorted(rivals):
        yield _finding(situation, situation.claims[number], rivals[number], numbers[number], prefix, access)


def _finding(
    situation: Situation, claim: ClaimRow, owners: set[str], numbers: set[int], prefix: str, access: str
) -> Finding:
    thing: Thing = claim.thing
    agents = sorted({situation.agent(owner) for owner in owners})
    tasks = sorted(work.task_id for work in situation.work if work.agent_id in agents)
    return Finding(
        conflict_id(prefix, thing.scope, thing.name),
        RESOURCE_CONTENTION,
        tuple(agents),
        _severity(len(agents), priority=claim.terms.priority),
        1.0,
        labels(resource=thing.name, scope=thing.scope, type=access, kind=thing.kind.name, claimed="yes"),
        tasks=tuple(tasks),
        claims=tuple(sorted(numbers)),
    )


def _severity(agents: int, *, priority: int) -> Severity:
    """Two agents are medium; a crowd, or an urgent task among them, is worse."""
    return Severity(min(Severity.CRITICAL, Severity.MEDIUM + (agents > 3) + (priority >= 8)))

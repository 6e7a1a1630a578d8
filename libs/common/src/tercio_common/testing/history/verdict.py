"""From a recording to a verdict: every check, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tercio_common.machine.records import moment_of, split_segment
from tercio_common.testing.history import checks, tasks
from tercio_common.testing.history.checks import Check, Entry
from tercio_common.testing.history.facts import Decode, Kind, Translator, decoder
from tercio_common.testing.history.recording import Recording, load

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise that was broken, and by what."""

    promise: str
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.promise} {self.check}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a recording shows.

    Attributes:
        records: how many records were judged.
        epochs: how many leaders wrote them.
        kinds: how often each fact about tasks occurred.
        violations: empty when every promise was kept.
    """

    records: int
    epochs: int
    kinds: Counter[Kind]
    violations: tuple[Violation, ...]

    def demand(self) -> Verdict:
        """Return itself, or raise AssertionError with every violation."""
        if self.violations:
            shown = "\n  ".join(str(one) for one in self.violations[:_SHOWN])
            raise AssertionError(f"{len(self.violations)} violations in {self.records} records:\n  {shown}")
        return self

    def broken(self) -> set[str]:
        """Return the promises that were broken."""
        return {one.promise for one in self.violations}


def standard_checks() -> list[Check]:
    """Return every check, with nothing seen yet."""
    return [
        checks.EpochsNeverGoBack(),
        checks.SequenceIsDense(),
        checks.TimeNeverGoesBack(),
        checks.RequestsOnce(),
        checks.FramesOnce(),
        tasks.OneResult(),
        tasks.AttemptsAreOrdered(),
        tasks.AttemptsEndOnce(),
        tasks.FailuresAreBounded(),
        tasks.AcceptedTasksSurvive(),
        tasks.ResolvedOnce(),
        tasks.WatchIsGapless(),
    ]


def judge(path: Path, *, service: str = "scheduler", also: Sequence[Check] = ()) -> Verdict:
    """Judge the recording on file by every standard check, and `also` by these.

    Raises:
        IncompleteRecordingError: commits are missing: there is no verdict.
        LookupError: the service registers no decoder.
    """
    return judge_recording(load(path), decode=decoder(service), by=[*standard_checks(), *also])


def judge_recording(recording: Recording, *, decode: Decode, by: Sequence[Check]) -> Verdict:
    """Judge a recording."""
    violations: list[Violation] = []
    kinds: Counter[Kind] = Counter()
    epochs, count = set(), 0
    for entry in _entries(recording, decode):
        count += 1
        epochs.add(entry.epoch)
        kinds.update(fact.kind for fact in entry.facts)
        for check in by:
            violations += [_violation(check, message) for message in check.see(entry)]
    for check in by:
        violations += [_violation(check, message) for message in check.end(recording.observations)]
    return Verdict(count, len(epochs), kinds, tuple(violations))


def _entries(recording: Recording, decode: Decode) -> Iterator[Entry]:
    translator = Translator()
    for segment in recording.segments:
        for record in split_segment(segment.value):
            epoch = moment_of(record).epoch
            facts = [fact for data in record.events for fact in translator.facts(decode(data), epoch=epoch)]
            yield Entry(segment.number, epoch, record, facts)


def _violation(check: Check, message: str) -> Violation:
    return Violation(check.promise, type(check).__name__, message)

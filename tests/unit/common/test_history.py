"""Each check passes a good history and names what is wrong in a bad one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2, work_service_pb2
from tercio.api.type.v1 import epoch_pb2
from tercio_common.epochs import Epoch
from tercio_common.journal.port import Segment
from tercio_common.machine.calls import Call
from tercio_common.machine.protocol import Moment
from tercio_common.machine.records import Encoded, encode_record, join_segment
from tercio_common.testing import history
from tercio_common.testing.history import Observation
from tercio_scheduler.codec import decode_event, encode_event
from tercio_scheduler.frames import submit_columns, work_columns
from tercio_scheduler.state import events
from tercio_scheduler.state.columns import bitmap
from tercio_scheduler.state.rows import CarriedRow

_FIRST, _SECOND = Epoch(1, 10), Epoch(1, 20)
_CALL = Call("alice", "test")


def _submitted(*task_ids: str, max_attempts: int = 2, accepted: bytes = b"") -> Any:
    template = task_pb2.TaskTemplate(task_type="t", retry=task_pb2.RetryPolicy(max_attempts=max_attempts))
    frame = task_service_pb2.SubmitFrame(templates=[template], task_ids=task_ids)
    return events.TasksSubmitted(frame.SerializeToString(), submit_columns(frame), accepted)


def _offered(task_id: str, number: int = 1) -> Any:
    return events.AttemptsOffered("agent", b"1", 1, (task_id,), (number,))


def _ended(task_id: str, number: int = 1, *, epoch: Epoch = _FIRST, outcome: int = 1, accepted: bytes = b"") -> Any:
    frame = work_service_pb2.WorkFrame(
        ended=work_service_pb2.AttemptColumns(
            task_ids=[task_id],
            numbers=[number],
            epochs=[epoch_pb2.Epoch(generation=epoch.generation, revision=epoch.revision)],
        ),
        outcomes=[outcome],
    )
    return events.WorkFrameApplied("agent", b"1", frame.SerializeToString(), work_columns(frame), accepted)


class _Story:
    """A journal written by hand, one record a segment."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.observations: list[Observation] = []

    def record(self, *what: Any, epoch: Epoch = _FIRST, call: Call = _CALL, seq: int = 0, now: int = 0) -> _Story:
        number = len(self.segments) + 1
        at = Moment(seq or number, now or number, 0, epoch, call.principal)
        data = encode_record(at, call, reply=b"", events=[encode_event(event) for event in what])
        self.segments.append(Segment(number, join_segment([Encoded(at.seq, data)])))
        return self

    def saw(self, kind: str, task_id: str, state: str = "", seq: int = 0) -> _Story:
        self.observations.append(Observation(kind, task_id, state, seq))
        return self

    def verdict(self) -> history.Verdict:
        recording = history.Recording(tuple(self.segments), tuple(self.observations))
        return history.judge_recording(recording, decode=decode_event, by=history.standard_checks())


def _checks_that_fail(story: _Story) -> Sequence[str]:
    return sorted({violation.check for violation in story.verdict().violations})


def test_a_system_task_is_neither_lost_when_it_is_settled_nor_missing_in_a_watch() -> None:
    carried = events.SystemTaskCarried(CarriedRow("tercio.s", "s", "registry"))
    story = _Story().record(_submitted("tercio.s"), carried).record(_submitted("a")).record(_offered("tercio.s"))
    story.record(_ended("tercio.s")).record(events.SystemTasksSettled(("tercio.s",)))
    # Its owner showed it again between its end and its report.
    story.record(_submitted("tercio.s"), carried).record(_offered("a"))
    story.saw(history.WATCHED, "a", seq=2).saw(history.WATCHED, "a", seq=7)
    story.verdict().demand()


def test_a_system_task_that_is_settled_before_its_end_is_found_out() -> None:
    carried = events.SystemTaskCarried(CarriedRow("tercio.s", "s", "registry"))
    story = _Story().record(_submitted("tercio.s"), carried).record(events.SystemTasksSettled(("tercio.s",)))
    assert _checks_that_fail(story) == ["AcceptedTasksSurvive"]


def test_a_run_over_two_leaders_with_a_retry_and_a_refused_late_report_keeps_every_promise() -> None:
    story = _Story().record(_submitted("a", "b"), call=_CALL._replace(request_id="r")).record(_offered("a"))
    story.record(events.AttemptsRevoked("agent", "lost", ("a",), ()), epoch=_SECOND)
    story.record(events.BackoffsEnded(("a",)), epoch=_SECOND).record(_offered("a", 2), epoch=_SECOND)
    story.record(_ended("a", accepted=bitmap([False])), epoch=_SECOND)
    story.record(_ended("a", 2, epoch=_SECOND), epoch=_SECOND)
    for task_id in ("a", "b"):
        story.saw(history.ACKNOWLEDGED, task_id)
    story.saw(history.RESOLVED, "a", "SUCCEEDED").saw(history.LISTED, "b", "READY")
    verdict = story.verdict().demand()
    assert (verdict.records, verdict.epochs) == (7, 2)


_BAD = {
    "a stale leader commits": (
        _Story().record().record(epoch=_SECOND).record(epoch=_FIRST),
        ["EpochsNeverGoBack"],
    ),
    "a record is lost": (_Story().record().record(seq=3), ["SequenceIsDense"]),
    "fleet time goes back": (_Story().record(now=9).record(now=8), ["TimeNeverGoesBack"]),
    "a request is carried out twice": (
        _Story().record(call=_CALL._replace(request_id="r")).record(call=_CALL._replace(request_id="r")),
        ["RequestsOnce"],
    ),
    "a frame is recorded twice": (
        _Story()
        .record(call=_CALL._replace(session_id="s", frame_number=1))
        .record(call=_CALL._replace(session_id="s", frame_number=1)),
        ["FramesOnce"],
    ),
    "a frame is left out": (_Story().record(call=_CALL._replace(session_id="s", frame_number=2)), ["FramesOnce"]),
    "a task has two results": (
        _Story().record(_submitted("a"), _offered("a")).record(_ended("a")).record(_ended("a")),
        ["AttemptsEndOnce", "OneResult"],
    ),
    "an older attempt's result is taken": (
        _Story()
        .record(_submitted("a"), _offered("a"))
        .record(events.AttemptsRevoked("agent", "lost", (), ("a",)), _offered("a", 2))
        .record(_ended("a", 1)),
        ["AttemptsEndOnce", "OneResult"],
    ),
    "two attempts are out": (
        _Story().record(_submitted("a"), _offered("a")).record(_offered("a", 2)),
        ["AttemptsAreOrdered"],
    ),
    "an attempt's number comes again": (
        _Story()
        .record(_submitted("a"), _offered("a"))
        .record(events.AttemptsRevoked("agent", "lost", (), ("a",)), _offered("a", 1)),
        ["AttemptsAreOrdered"],
    ),
    "a poison task is tried for ever": (
        _Story()
        .record(_submitted("a", max_attempts=1), _offered("a"))
        .record(_ended("a", outcome=2))
        .record(_offered("a", 2)),
        ["FailuresAreBounded"],
    ),
    "an acknowledged task is not recorded": (
        _Story().record().saw(history.ACKNOWLEDGED, "a"),
        ["AcceptedTasksSurvive"],
    ),
    "an open task is not listed": (
        _Story().record(_submitted("a")).saw(history.ACKNOWLEDGED, "a"),
        ["AcceptedTasksSurvive"],
    ),
    "a client was told what is not recorded": (
        _Story().record(_submitted("a")).saw(history.RESOLVED, "a", "SUCCEEDED"),
        ["AcceptedTasksSurvive"],
    ),
    "a task is accepted twice": (_Story().record(_submitted("a")).record(_submitted("a")), ["AcceptedTasksSurvive"]),
    "an end is told twice": (
        _Story()
        .record(_submitted("a"), _offered("a"))
        .record(_ended("a"))
        .saw(history.RESOLVED, "a", "SUCCEEDED")
        .saw(history.RESOLVED, "a", "SUCCEEDED"),
        ["ResolvedOnce"],
    ),
    "a watch leaves a change out": (
        _Story().record(_submitted("a")).record(_offered("a")).saw(history.WATCHED, "a", seq=2),
        ["WatchIsGapless"],
    ),
    "a watch repeats a change": (
        _Story()
        .record(_submitted("a"))
        .saw(history.WATCHED, "a", seq=1)
        .saw(history.WATCHED, "a", seq=1),
        ["WatchIsGapless"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("story", "failing"), _BAD.values(), ids=_BAD.keys())
def test_a_bad_history_is_found_by_the_check_that_is_for_it(story: _Story, failing: list[str]) -> None:
    assert _checks_that_fail(story) == failing


def test_a_cancelled_attempt_that_succeeds_all_the_same_counts_as_a_success() -> None:
    story = _Story().record(_submitted("a"), _offered("a")).record(events.TasksCancelled(("a",), "enough"))
    story.record(_ended("a")).saw(history.RESOLVED, "a", "SUCCEEDED")
    story.verdict().demand()


def test_a_watch_may_show_what_waited_for_a_task_that_succeeds() -> None:
    frame = task_service_pb2.SubmitFrame(templates=[task_pb2.TaskTemplate(task_type="t")], task_ids=["a", "b"])
    frame.dependencies.add(index=1, depends_on=["a"])
    submitted = events.TasksSubmitted(frame.SerializeToString(), submit_columns(frame), b"")
    story = _Story().record(submitted, _offered("a")).record(_ended("a"))
    for seq, task_id in ((1, "a"), (1, "b"), (2, "a"), (2, "b")):
        story.saw(history.WATCHED, task_id, seq=seq)
    story.verdict().demand()


class _ListedJournal:
    """A journal that is only read."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments

    async def read(self, after: int, **_: Any) -> list[Segment]:
        return [segment for segment in self._segments if segment.number > after]

    async def tail(self, after: int) -> Any:
        for segment in await self.read(after):
            yield segment


async def _record(segments: Sequence[Segment], path: Path) -> None:
    journal: Any = _ListedJournal(segments)
    async with history.recorded(journal, path) as recorder:
        recorder.observe(Observation(history.ACKNOWLEDGED, "a"))


async def test_a_recording_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    story = _Story().record(_submitted("a")).record(_offered("a")).record(_ended("a"))
    await _record(story.segments, tmp_path / "run")
    recording = history.load(tmp_path / "run")
    assert recording.segments == tuple(story.segments)
    assert recording.observations == (Observation(history.ACKNOWLEDGED, "a"),)
    assert history.judge(tmp_path / "run").demand().records == 3


async def test_there_is_no_verdict_when_a_commit_is_missing(tmp_path: Path) -> None:
    story = _Story().record().record().record()
    await _record([story.segments[0], story.segments[2]], tmp_path / "run")
    with pytest.raises(history.IncompleteRecordingError, match="segment 3 followed 1"):
        history.judge(tmp_path / "run")


async def test_there_is_no_verdict_on_a_recording_that_is_cut_off(tmp_path: Path) -> None:
    await _record(_Story().record().segments, tmp_path / "run")
    whole = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(whole[:-1])
    with pytest.raises(history.IncompleteRecordingError, match="cut off"):
        history.load(tmp_path / "run")

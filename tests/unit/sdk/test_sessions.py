from __future__ import annotations

from tercio.api.scheduler.v1.work_service_pb2 import WorkRequest
from tercio.sessions import FrameSession, SentFrame


def session_with(*contents: str) -> FrameSession[WorkRequest, str]:
    session: FrameSession[WorkRequest, str] = FrameSession()
    for content in contents:
        session.add(WorkRequest(), content)
    return session


def numbers(session: FrameSession[WorkRequest, str]) -> list[int]:
    return [frame.request.frame_number for frame in session]


def test_frames_count_from_one_and_are_kept_until_acknowledged() -> None:
    session = session_with("a", "b", "c")
    assert numbers(session) == [1, 2, 3]
    assert session.acknowledge(2) == ["a", "b"]
    assert session.acknowledge(2) == []
    session.add(WorkRequest(), "d")
    assert numbers(session) == [3, 4]


def test_a_new_session_counts_what_is_kept_from_one_again() -> None:
    session = session_with("a", "b", "c")
    old = session.session_id
    session.acknowledge(1)
    session.restart()
    assert session.session_id != old
    assert numbers(session) == [1, 2]
    session.add(WorkRequest(), "d")
    assert numbers(session) == [1, 2, 3]


def test_a_frame_that_is_given_up_leaves_no_gap_in_the_next_session() -> None:
    session = session_with("a", "b")
    assert session.replace_first() == "a"
    session.restart()
    assert numbers(session) == [1]


def test_the_parts_of_a_frame_take_its_place_in_the_next_session() -> None:
    session = session_with("ab", "c")
    session.replace_first(SentFrame(WorkRequest(), "a"), SentFrame(WorkRequest(), "b"))
    session.restart()
    assert numbers(session) == [1, 2, 3]
    assert session.acknowledge(3) == ["a", "b", "c"]

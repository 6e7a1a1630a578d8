"""The frames of one stream session: numbered, kept until they are committed, sent again after a reconnect.

A session outlives its streams. The server records each frame once, by session and number, so the identical frame may be
sent as often as a connection breaks.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from tercio.api.scheduler.v1 import task_service_pb2, work_service_pb2

RequestT = TypeVar("RequestT", work_service_pb2.WorkRequest, task_service_pb2.SubmitStreamRequest)
ContentT = TypeVar("ContentT")


class SentFrame(NamedTuple, Generic[RequestT, ContentT]):
    """A frame that is not known to be committed.

    Attributes:
        request: as it was sent.
        content: what the sender wants back when the frame is committed.
    """

    request: RequestT
    content: ContentT


class FrameSession(Generic[RequestT, ContentT]):
    """Numbers frames from 1 and forgets them when they are committed."""

    def __init__(self) -> None:
        self.session_id = _new_session_id()
        self._last = 0
        self._unacknowledged: deque[SentFrame[RequestT, ContentT]] = deque()
        self._suspect: RequestT | None = None
        self._strikes = 0

    def __len__(self) -> int:
        """Return how many frames are not known to be committed."""
        return len(self._unacknowledged)

    def __iter__(self) -> Iterator[SentFrame[RequestT, ContentT]]:
        """Yield the frames that are not known to be committed, the oldest first."""
        return iter(tuple(self._unacknowledged))

    def add(self, request: RequestT, content: ContentT) -> None:
        """Give the request the next number and keep it."""
        self._last += 1
        request.frame_number = self._last
        self._unacknowledged.append(SentFrame(request, content))

    def acknowledge(self, committed_frame_number: int) -> list[ContentT]:
        """Forget every frame up to this number and return their contents, the oldest first."""
        contents = []
        while self._unacknowledged and self._unacknowledged[0].request.frame_number <= committed_frame_number:
            contents.append(self._unacknowledged.popleft().content)
        return contents

    def strike(self) -> int:
        """Note that a stream was ended because of a frame; return how often in a row the oldest one was there.

        Frames that are sent again wait for the oldest: from the second time on there is no other to blame.
        """
        first = self._unacknowledged[0].request if self._unacknowledged else None
        self._strikes = self._strikes + 1 if first is self._suspect and first is not None else 1
        self._suspect = first
        return self._strikes

    def restart(self) -> None:
        """Begin a new session, for the server knows the old one no longer; the frames that are kept count from 1."""
        self.session_id = _new_session_id()
        for number, frame in enumerate(self._unacknowledged, start=1):
            frame.request.frame_number = number
        self._last = len(self._unacknowledged)

    def replace_first(self, *frames: SentFrame[RequestT, ContentT]) -> ContentT:
        """Put these in the place of the oldest frame and return its content; `restart` must follow, to number them."""
        first = self._unacknowledged.popleft()
        self._unacknowledged.extendleft(reversed(frames))
        return first.content


def _new_session_id() -> str:
    return os.urandom(16).hex()

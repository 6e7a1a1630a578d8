"""The SubmitStream: many tasks out in columns, their results back, through changes of leader.

Single submissions of one loop turn share a frame. A frame is kept until the scheduler says that it is committed, and is
sent again after a reconnect; tasks whose frames were committed before are asked after by name. At most `window` tasks
are on their way to a commit at once; what is submitted beyond that waits in this process.

A handle counts as accepted when its frame is committed or its result is there, whatever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.scheduler.v1 import task_service_pb2_grpc as task_grpc
from tercio.errors import ClosedError, TercioError, task_error
from tercio.handles import TaskHandle
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import CallError, refusal_error
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio.sessions import FrameSession, SentFrame
from tercio.states import TaskState
from tercio.wakeup import Wakeup

if TYPE_CHECKING:
    from typing import TypeAlias

    SubmitCall: TypeAlias = grpc.aio.StreamStreamCall[
        task_service_pb2.SubmitStreamRequest, task_service_pb2.SubmitStreamResponse
    ]

_log = logging.getLogger(__name__)

_SESSION_LOST: Final = frozenset({"SESSION_EXPIRED", "FRAME_OUT_OF_ORDER"})
_HOPELESS: Final = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED}
)

# A defect of the scheduler may be gone with its next leader; after that many tries the task is given up.
_MOST_FAILED: Final = 5

_MOST_TASKS: Final = 500
_MOST_TEMPLATES: Final = 100
# The contract's bound is 256 kB; the rest is for templates and the columns' own bytes.
_MOST_BYTES: Final = 192 * 1024
_MOST_FOLLOWED: Final = 1_000


class Submitted(NamedTuple):
    """One task on its way."""

    handle: TaskHandle
    template: task_pb2.TaskTemplate
    payload: bytes
    depends_on: Sequence[str]


class Submission:
    """Submits tasks and resolves their handles."""

    def __init__(self, remote: Remote[task_grpc.TaskServiceAsyncStub], *, window: int) -> None:
        """Submit to the scheduler at `remote`, with at most `window` tasks sent and not yet committed."""
        self._remote = remote
        self._window = window
        self._session: FrameSession[task_service_pb2.SubmitStreamRequest, list[Submitted]] = FrameSession()
        self._waiting: deque[Submitted] = deque()
        self._unanswered = 0
        self._outstanding: dict[str, TaskHandle] = {}
        self._to_follow: deque[str] = deque()
        self._resent: set[str] = set()
        self._wakeup = Wakeup()
        self._room = asyncio.Event()
        self._reconnect = Reconnect(remote.route, Backoff())
        self._streaming: asyncio.Task[None] | None = None
        self._one_at_a_time = False
        self._is_outage_told = False
        self.last_error: CallError | None = None
        """Why the stream is down, while it is."""

    @property
    def has_room(self) -> bool:
        """True while fewer tasks than the window wait or are on their way to a commit."""
        return self._unanswered + len(self._waiting) < self._window

    async def room(self) -> None:
        """Wait until `has_room`."""
        while not self.has_room:
            self._room.clear()
            await self._room.wait()

    def add(self, task: Submitted) -> None:
        """Submit a task with everything else that this loop turn submits."""
        if not self._waiting:
            self._wake()
        self._waiting.append(task)
        self._outstanding[task.handle.task_id] = task.handle

    def known(self, task_id: str) -> TaskHandle | None:
        """Return the handle that waits for this task, if there is one."""
        return self._outstanding.get(task_id)

    def follow(self, handles: Iterable[TaskHandle]) -> None:
        """Ask for the results of tasks that were submitted in another way."""
        for handle in handles:
            self._outstanding[handle.task_id] = handle
            self._to_follow.append(handle.task_id)
        self._wake()

    async def close(self) -> None:
        """End the stream; handles that still wait raise ClosedError."""
        if self._streaming is not None:
            self._streaming.cancel()
            await asyncio.gather(self._streaming, return_exceptions=True)
        self._fail_all(ClosedError("the client was closed before the task's end was known; the task goes its way"))

    def _wake(self) -> None:
        self._wakeup.signal()
        if self._streaming is None or self._streaming.done():
            self._streaming = asyncio.get_running_loop().create_task(self._run(), name="tercio-submission")

    async def _run(self) -> None:
        try:
            while True:
                tried = self._remote.route.address
                self.last_error = await self._serve_one_stream()
                if self.last_error is not None and not self._note_failure(self.last_error, tried=tried):
                    return
                await self._reconnect.wait(self.last_error, tried=tried)
                if not self._outstanding:
                    await self._wakeup.wait()
        except Exception as error:
            self._fail_all(ClosedError(f"the submission stream failed in a way that nobody expected: {error!r}"))
            raise

    async def _serve_one_stream(self) -> CallError | None:
        """Return how the stream ended; None when the scheduler said good-bye."""
        call = self._remote.stub().SubmitStream(metadata=FOLLOW_LEADER)
        reading = asyncio.create_task(self._read(call), name="tercio-submission-read")
        writing = asyncio.create_task(self._write(call), name="tercio-submission-write")
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
            await reading
        except grpc.RpcError as failure:
            return error_of(failure)
        finally:
            call.cancel()
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
        return None

    def _note_failure(self, error: CallError, *, tried: str) -> bool:
        """Prepare the next stream; return False when there is no use in one."""
        if error.code in _HOPELESS:
            self._fail_all(error)
            return False
        if error.reason in _SESSION_LOST:
            self._restart()
        elif error.code is grpc.StatusCode.INVALID_ARGUMENT:
            if self._one_at_a_time:
                self._narrow_down(error)
            # One of the frames is malformed. Sent one at a time, the next error tells which.
            self._one_at_a_time = True
            self._restart()
        elif error.reason == "INTERNAL" and len(self._session) and self._session.strike() >= _MOST_FAILED:
            self._narrow_down(error)
            self._one_at_a_time = True
            self._restart()
        elif error.reason == "NOT_LEADER":
            _log.debug("%s does not lead; going on to the leader: %s", tried, error)
        else:
            # Told once an outage, as in the agent's link.
            level = logging.DEBUG if self._is_outage_told else logging.WARNING
            self._is_outage_told = True
            _log.log(level, "no scheduler at %s, so tasks wait in this process; trying again: %s", tried, error)
        return True

    def _narrow_down(self, error: CallError) -> None:
        """Halve the malformed frame until the task that spoils it is alone, so that its fellows do not suffer."""
        first = next(iter(self._session), None)
        if first is None:
            return
        tasks = first.content
        if len(tasks) == 1:
            self._session.replace_first()
            self._unanswered -= 1
            self._refuse_one(tasks[0].handle.task_id, error)
            self._room.set()
        else:
            middle = len(tasks) // 2
            self._session.replace_first(
                *[SentFrame(_request_of(half), half) for half in (tasks[:middle], tasks[middle:])]
            )

    def _restart(self) -> None:
        self._session.restart()
        for frame in self._session:
            frame.request.session_id = self._session.session_id

    async def _write(self, call: SubmitCall) -> None:
        # A write fails only with its call, and then the reader learns why.
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await self._send_again(call)
            # Looked at only now: others have submitted meanwhile, and nobody knows those tasks yet.
            in_frames = {task.handle.task_id for task in self._not_committed()}
            self._to_follow = deque(task_id for task_id in self._outstanding if task_id not in in_frames)
            while True:
                while (request := self._next_request()) is not None:
                    await call.write(request)
                await self._wakeup.wait()

    async def _send_again(self, call: SubmitCall) -> None:
        """Send every frame that is not known to be committed.

        The second one waits for the first, by which the scheduler tells whether it knows the session.
        """
        frames = tuple(self._session)
        # A frame that was committed before is not recorded again, and perhaps not followed on this stream either.
        self._resent = {task.handle.task_id for frame in frames for task in frame.content}
        for place, frame in enumerate(frames):
            while (self._one_at_a_time or place == 1) and frame is not next(iter(self._session), frame):
                await self._wakeup.wait()
            await call.write(frame.request)

    def _not_committed(self) -> Iterator[Submitted]:
        """Yield the tasks that cannot be asked after yet, because nobody may know them."""
        yield from self._waiting
        for frame in self._session:
            yield from frame.content

    def _next_request(self) -> task_service_pb2.SubmitStreamRequest | None:
        if self._to_follow:
            names = [self._to_follow.popleft() for _ in range(min(len(self._to_follow), _MOST_FOLLOWED))]
            return task_service_pb2.SubmitStreamRequest(
                session_id=self._session.session_id,
                follow_task_ids=[name for name in names if name in self._outstanding],
            )
        if not self._waiting or self._unanswered >= self._window or (self._one_at_a_time and len(self._session)):
            return None
        tasks = _taken(self._waiting, at_most=min(_MOST_TASKS, self._window - self._unanswered))
        request = _request_of(tasks)
        request.session_id = self._session.session_id
        self._session.add(request, tasks)
        self._unanswered += len(tasks)
        return request

    async def _read(self, call: SubmitCall) -> None:
        while True:
            response = await call.read()
            if not isinstance(response, task_service_pb2.SubmitStreamResponse):
                return  # the end of the stream
            self._reconnect.succeeded()
            self.last_error = None
            self._is_outage_told = False
            for refusal in response.refusals:
                self._refuse_one(refusal.task_id, refusal_error(refusal.reason, refusal.message))
            if response.HasField("results"):
                self._resolve(response.results)
            if response.committed_frame_number:
                self._acknowledge(response.committed_frame_number)

    def _acknowledge(self, committed_frame_number: int) -> None:
        for tasks in self._session.acknowledge(committed_frame_number):
            self._unanswered -= len(tasks)
            for task in tasks:
                handle = task.handle
                if handle.error is None:
                    handle.note_accepted()
                    if handle.task_id in self._resent and not handle.is_done:
                        self._to_follow.append(handle.task_id)
        if not len(self._session):
            self._resent.clear()
            self._one_at_a_time = False
        self._wakeup.signal()
        self._room.set()

    def _resolve(self, results: task_service_pb2.SubmitStreamResponse.Results) -> None:
        failures = {failure.index: failure for failure in results.failures}
        pop = self._outstanding.pop
        payloads: Sequence[bytes] = results.results or (b"",) * len(results.task_ids)
        for index, (task_id, state, payload) in enumerate(
            zip(results.task_ids, results.states, payloads, strict=True),
        ):
            handle = pop(task_id, None)
            if handle is None:
                continue  # resolved before: results come again after a reconnect
            if not handle.is_accepted:
                handle.note_accepted()
            if state == task_pb2.Task.STATE_SUCCEEDED:
                handle.note_success(payload)
                continue
            failure = failures.get(index)
            error = task_error(
                task_id,
                state=TaskState(state),
                reason=failure.reason if failure else "",
                message=failure.message if failure else "",
            )
            handle.note_error(error, state=error.state)

    def _refuse_one(self, task_id: str, error: TercioError) -> None:
        handle = self._outstanding.pop(task_id, None)
        if handle is not None:
            handle.note_error(error)

    def _fail_all(self, error: TercioError) -> None:
        """Give up everything that waits; what the scheduler has of it goes its way."""
        self._waiting.clear()
        self._to_follow.clear()
        self._session = FrameSession()
        self._unanswered = 0
        outstanding, self._outstanding = self._outstanding, {}
        for handle in outstanding.values():
            handle.note_error(error)
        self._room.set()


def _taken(waiting: deque[Submitted], *, at_most: int) -> list[Submitted]:
    """Take what fits into one frame; the first task always does."""
    tasks: list[Submitted] = []
    templates: set[int] = set()
    room = _MOST_BYTES
    while waiting and len(tasks) < at_most:
        task = waiting[0]
        templates.add(id(task.template))
        room -= len(task.payload) + len(task.handle.task_id) + sum(map(len, task.depends_on)) + 8
        if tasks and (room < 0 or len(templates) > _MOST_TEMPLATES):
            break
        tasks.append(waiting.popleft())
    return tasks


def _request_of(tasks: list[Submitted]) -> task_service_pb2.SubmitStreamRequest:
    return task_service_pb2.SubmitStreamRequest(frame=frame_of(tasks))


def frame_of(tasks: Sequence[Submitted]) -> task_service_pb2.SubmitFrame:
    """Return the columns of these tasks; templates are shared by identity."""
    templates = {id(task.template): task.template for task in tasks}
    frame = task_service_pb2.SubmitFrame(templates=templates.values(), task_ids=[task.handle.task_id for task in tasks])
    if len(templates) > 1:
        numbers = {key: number for number, key in enumerate(templates)}
        frame.template_indexes.extend([numbers[id(task.template)] for task in tasks])
    payloads = [task.payload for task in tasks]
    if any(payloads):
        frame.payloads.extend(payloads)
    for index, task in enumerate(tasks):
        if task.depends_on:
            frame.dependencies.add(index=index, depends_on=task.depends_on)
    return frame

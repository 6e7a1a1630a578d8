"""What the scheduler's pure state costs a task: submit, offer and complete in frames, with everything that is encoded.

No gRPC, no journal, no event loop: the part of a task's cost that belongs to the decisions themselves. CPU time, so
that other work on the machine disturbs it less.

    python benchmarks/scheduler_state.py [--tasks 50000] [--frame 100] [--backlog 0]
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2, work_service_pb2
from tercio.api.type.v1 import epoch_pb2
from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import ElectionWon, Moment
from tercio_scheduler.codec import decode_event, encode_event
from tercio_scheduler.frames import submit_columns, work_columns
from tercio_scheduler.state.commands import Dispatch, ReportWork, Submit
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.session import SchedulerSession

AGENTS = 8
CONCURRENCY = 256
Result = TypeVar("Result")


class Run:
    """One leader's machine, with the time that each phase took."""

    def __init__(self) -> None:
        """Start with agents attached and no tasks."""
        self.machine = SchedulerMachine()
        self.epoch = Epoch(1, 1)
        self.session = SchedulerSession(self.epoch)
        self.seq = 0
        self.journal: list[tuple[Moment, bytes]] = []
        self.spent_ns: dict[str, int] = {}
        self.propose("start", ElectionWon())
        for number in range(AGENTS):
            self.session.attach(
                f"agent-{number}", instance_id=b"0123456789abcdef", capabilities={}, concurrency=CONCURRENCY, now=0
            )

    def timed(self, phase: str, work: Callable[[], Result]) -> Result:
        """Add what `work` takes to a phase."""
        begin = time.process_time_ns()
        result = work()
        self.spent_ns[phase] = self.spent_ns.get(phase, 0) + time.process_time_ns() - begin
        return result

    def propose(self, phase: str, command: Any) -> Any:
        """Decide, apply and encode one command."""
        self.seq += 1
        at = Moment(self.seq, self.seq, 1_800_000_000_000 + self.seq, self.epoch, "bench", self.seq - 1)
        machine = self.machine
        machine.tables.begin()
        decision = self.timed(f"{phase} decide", lambda: machine.decide(command, at, self.session))
        self.timed(f"{phase} apply", lambda: [machine.apply(event, at) for event in decision.events])
        encoded = self.timed(f"{phase} encode", lambda: [encode_event(event) for event in decision.events])
        self.journal += [(at, data) for data in encoded]
        return decision.reply

    def submit(self, frame: bytes) -> None:
        """Take a frame of tasks as bytes."""
        columns = self.timed("submit decode", lambda: submit_columns(task_service_pb2.SubmitFrame.FromString(frame)))
        self.propose("submit", Submit(columns=columns, frame=frame, whole=False))

    def dispatch_and_complete(self) -> int:
        """Offer what there is to agents that complete it at once; return how many tasks that were."""
        completed = 0
        for offer in self.propose("offer", Dispatch()).offers:
            frame = work_service_pb2.WorkFrame(
                ended=work_service_pb2.AttemptColumns(
                    task_ids=[row.task_id for row in offer.rows],
                    numbers=offer.numbers,
                    epochs=[epoch_pb2.Epoch(generation=1, revision=1)],
                ),
                results=[b"done"] * len(offer.rows),
                run_micros=[100] * len(offer.rows),
            ).SerializeToString()
            columns = self.timed(
                "complete decode", lambda data=frame: work_columns(work_service_pb2.WorkFrame.FromString(data))
            )
            self.propose(
                "complete",
                ReportWork(agent_id=offer.agent_id, instance_id=offer.instance_id, columns=columns, frame=frame),
            )
            completed += len(offer.rows)
        return completed

    def replay(self) -> None:
        """Rebuild a machine from the journal."""
        machine = SchedulerMachine()
        for at, data in self.journal:
            machine.tables.begin()
            machine.apply(decode_event(data), at)


def frames(prefix: str, *, tasks: int, frame: int, task_type: str = "noop") -> Iterator[bytes]:
    """Give submissions as bytes."""
    template = task_pb2.TaskTemplate(task_type=task_type)
    for first in range(0, tasks, frame):
        yield task_service_pb2.SubmitFrame(
            templates=[template],
            task_ids=[f"{prefix}-{number:08d}" for number in range(first, min(first + frame, tasks))],
            payloads=[b'{"n": 1}'] * min(frame, tasks - first),
        ).SerializeToString()


def main() -> None:
    """Print microseconds a task by phase."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--frame", type=int, default=100)
    parser.add_argument("--backlog", type=int, default=0, help="tasks that are ready all the time and come last")
    arguments = parser.parse_args()
    run = Run()
    for frame in frames("backlog", tasks=arguments.backlog, frame=1000):
        run.submit(frame)
    submissions = list(frames("task", tasks=arguments.tasks, frame=arguments.frame))
    gc.collect()
    gc.freeze()
    run.spent_ns.clear()
    run.journal.clear()
    completed = 0
    # As many frames a round as there are agents, so that frames to and from agents are as full as submissions.
    for first in range(0, len(submissions), AGENTS):
        for frame in submissions[first : first + AGENTS]:
            run.submit(frame)
        completed += run.dispatch_and_complete()
    total = 0.0
    for phase, spent in run.spent_ns.items():
        micros = spent / completed / 1000
        total += micros
        print(f"{phase:16} {micros:6.2f} µs/task")
    print(f"{'total':16} {total:6.2f} µs/task over {completed} tasks in frames of {arguments.frame}")
    if not arguments.backlog:
        run.timed("replay", run.replay)
        print(f"{'replay':16} {run.spent_ns['replay'] / completed / 1000:6.2f} µs/task")


if __name__ == "__main__":
    main()

"""What the spans of a played workflow tell: how busy the slots were and where time went between tasks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.workflows.player import Played

_NS: float = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Measurements of one run, in seconds.

    Attributes:
        makespan_s: from before the first request to the last result at the client.
        submit_s: of it, until the last plan was durable.
        busy_s: slot-seconds in which handlers ran.
        slots: how many slots there were.
        lost_s: slot-seconds in which a slot was free although a task was ready: what dispatch cost.
        bound_s: of it, slot-seconds in which the waiting task had been offered already, to an agent that was busy.
        waits_s: for each task, from ready (its last parent's handler ended; for those without parents, all plans
            durable) to the start of its handler, sorted; it includes waiting for a free slot.
        dispatch_s: for each task, from the later of ready and the end of the slot's task before, sorted.
    """

    makespan_s: float
    submit_s: float
    busy_s: float
    slots: int
    lost_s: float
    bound_s: float
    waits_s: Sequence[float]
    dispatch_s: Sequence[float]

    @property
    def utilisation(self) -> float:
        """The share of all slot-seconds in which handlers ran, 0 to 1."""
        return self.busy_s / (self.slots * self.makespan_s)


def timeline(played: Played, parents: Mapping[str, Sequence[str]], *, slots: int) -> Timeline:
    """Return the measurements of a run of tasks with these parents."""
    spans = played.spans
    ready = {
        task_id: max(
            (spans[parent].ended_ns for parent in before),
            # Accepted somewhere between the request and its answer.
            default=min(played.accepted_ns, spans[task_id].started_ns),
        )
        for task_id, before in parents.items()
    }
    free_since = _free_since(played)
    return Timeline(
        makespan_s=(played.ended_ns - played.begun_ns) / _NS,
        submit_s=(played.accepted_ns - played.begun_ns) / _NS,
        busy_s=sum(span.ended_ns - span.started_ns for span in spans.values()) / _NS,
        slots=slots,
        lost_s=_lost_ns(played, ready, slots) / _NS,
        bound_s=_lost_ns(played, _bound_since(played, ready), slots) / _NS,
        waits_s=sorted((span.started_ns - ready[task_id]) / _NS for task_id, span in spans.items()),
        dispatch_s=sorted(
            (span.started_ns - max(ready[task_id], free_since[task_id])) / _NS for task_id, span in spans.items()
        ),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share, above 0 and up to 1, of the sorted values do not exceed."""
    ranks = [rank / len(ordered) for rank in range(1, len(ordered) + 1)]
    return ordered[bisect_left(ranks, share)]


def _free_since(played: Played) -> dict[str, int]:
    by_start = sorted(played.spans, key=lambda task_id: played.spans[task_id].started_ns)
    ended: dict[int, int] = {}
    found = {}
    for task_id in by_start:
        span = played.spans[task_id]
        found[task_id] = ended.get(span.slot, played.begun_ns)
        ended[span.slot] = span.ended_ns
    return found


def _bound_since(played: Played, ready: Mapping[str, int]) -> dict[str, int]:
    """Return since when each task waited for one busy slot; its start, if that slot was free when it was offered."""
    free_since = _free_since(played)
    found = {}
    for task_id, span in played.spans.items():
        offered = max(ready[task_id], min(played.offered_ns[task_id], span.started_ns))
        found[task_id] = offered if free_since[task_id] > offered else span.started_ns
    return found


def _lost_ns(played: Played, waiting_since: Mapping[str, int], slots: int) -> int:
    """Integrate over time the smaller of free slots and of tasks that wait for their start."""
    steps: list[tuple[int, int, int]] = []  # when, change of free slots, change of waiting tasks
    for task_id, span in played.spans.items():
        steps += [(waiting_since[task_id], 0, 1), (span.started_ns, -1, -1), (span.ended_ns, 1, 0)]
    steps.sort()
    lost, free, waiting = 0, slots, 0
    for (when, freed, entered), (until, _, _) in pairwise(steps):
        free += freed
        waiting += entered
        lost += max(0, min(free, waiting)) * (until - when)
    return lost

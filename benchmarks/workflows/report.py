"""The verdict on one run: a makespan beside what was possible."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from benchmarks.workflows.bounds import bound, first_come, longest_remaining
from benchmarks.workflows.plans import Submission
from benchmarks.workflows.timeline import Timeline, percentile
from benchmarks.workflows.workflow import Workflow

BAR = 1.10
"""The makespan should be at most this many times its lower bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is printed; times in seconds, of the run, that is scaled.

    Attributes:
        ratio: makespan ÷ lower bound.
        first_come_s: makespan of the scheduler's own order with no delay at all: what the graph and the order cost.
        longest_first_s: the same with the longest remaining chain first: what another order would give.
        lost_slot_s: slot-seconds in which a slot was free although a task was ready.
        bound_slot_s: of it, while that task had been offered to an agent that was still busy: prefetch.
        multicore_tasks: tasks that were recorded with several cores and ran in one slot all the same.
    """

    workflow: str
    tasks: int
    levels: int
    joins: int
    plans: int
    multicore_tasks: int
    slots: int
    scale: float
    critical_path_s: float
    work_s: float
    lower_bound_s: float
    makespan_s: float
    ratio: float
    within_bar: bool
    first_come_s: float
    longest_first_s: float
    submit_s: float
    utilisation: float
    lost_slot_s: float
    bound_slot_s: float
    oversleep_s: float
    wait_p50_s: float
    wait_p99_s: float
    dispatch_p50_s: float
    dispatch_p99_s: float


def report(workflow: Workflow, submitted: Submission, measured: Timeline, *, scale: float) -> Report:
    """Return the report of a run."""
    slots = measured.slots
    best = bound(workflow, slots=slots, scale=scale)
    ratio = measured.makespan_s / best.seconds
    return Report(
        workflow=workflow.name,
        tasks=len(workflow.tasks),
        levels=max(workflow.levels().values()) + 1,
        joins=submitted.joins,
        plans=len(submitted.plans),
        multicore_tasks=sum(task.cores > 1 for task in workflow.tasks.values()),
        slots=slots,
        scale=scale,
        critical_path_s=best.critical_path_s,
        work_s=best.work_s,
        lower_bound_s=best.seconds,
        makespan_s=measured.makespan_s,
        ratio=ratio,
        within_bar=ratio <= BAR,
        first_come_s=scale * first_come(workflow, slots=slots),
        longest_first_s=scale * longest_remaining(workflow, slots=slots),
        submit_s=measured.submit_s,
        utilisation=measured.utilisation,
        lost_slot_s=measured.lost_s,
        bound_slot_s=measured.bound_s,
        oversleep_s=measured.busy_s - best.work_s,
        wait_p50_s=percentile(measured.waits_s, 0.5),
        wait_p99_s=percentile(measured.waits_s, 0.99),
        dispatch_p50_s=percentile(measured.dispatch_s, 0.5),
        dispatch_p99_s=percentile(measured.dispatch_s, 0.99),
    )


def as_json(found: Report) -> str:
    """Return it for programs."""
    return json.dumps(asdict(found), indent=2)


def as_text(found: Report) -> str:
    """Return it for people."""
    bar = "within" if found.within_bar else "OVER"
    lines = [
        f"{found.workflow}: {found.tasks} tasks on {found.levels} levels, {found.slots} slots, scale {found.scale:.3g}",
        f"  submitted as      {found.plans} plan(s), {found.joins} joining task(s), in {_ms(found.submit_s)}",
        f"  makespan          {found.makespan_s:8.3f} s",
        f"  lower bound       {found.lower_bound_s:8.3f} s  = max(critical path {found.critical_path_s:.3f} s, "
        f"work {found.work_s:.3f} s ÷ {found.slots})",
        f"  ratio             {found.ratio:8.3f}    {bar} the bar of {BAR:.2f}",
        f"  without delay     {found.first_come_s:8.3f} s  first come first served ({_of(found, found.first_come_s)}); "
        f"{found.longest_first_s:.3f} s longest chain first ({_of(found, found.longest_first_s)})",
        f"  utilisation       {found.utilisation:8.1%}    "
        f"{found.lost_slot_s:.2f} slot-seconds free while a task was ready, {found.bound_slot_s:.2f} of them while it "
        f"was offered to a busy agent; {found.oversleep_s:.2f} overslept",
        f"  dispatch          {_ms(found.dispatch_p50_s)} p50, {_ms(found.dispatch_p99_s)} p99   "
        "from (ready and slot free) to started",
        f"  ready → started   {_ms(found.wait_p50_s)} p50, {_ms(found.wait_p99_s)} p99   with the wait for a slot",
    ]
    if found.multicore_tasks:
        lines.append(f"  note: {found.multicore_tasks} task(s) had several cores and took one slot each")
    return "\n".join(lines)


def _of(found: Report, seconds: float) -> str:
    return f"{seconds / found.lower_bound_s:.3f} × bound"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"

"""Runs the demo: a fleet on this machine solves 42 tickets about this repository, and loses two agents on the way.

It begins with two local agents; their pools grow under the tickets and shrink after them. Beside them an agent is
given a bad configuration, which is rolled back by itself.

The last line is `42 of 42 tickets succeeded`, and the exit code 0, only if that is so, if the killed agent's ticket and
the deaf one's were taken over by others, if the bad configuration was rolled back, if agents that disagree and tickets
that collide were settled, if what the killed agent held came back, if the pools of agents grew and shrank, and if in
the end nothing is held and every worktree is clean.
What the registry finds by itself is waited for once the last ticket is solved, for longer than any machine needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from examples.tickets.board import Board
from examples.tickets.crew import MOST
from examples.tickets.disputes import dispute
from examples.tickets.fleet import Fleet, FleetError, now_ms, running
from examples.tickets.growth import Grower, Growth
from examples.tickets.ledger import Ledger, presences
from examples.tickets.measures import summarise
from examples.tickets.pools import PoolFollower, Pools
from examples.tickets.regression import regress
from examples.tickets.relief import relieve
from examples.tickets.strike import strike
from examples.tickets.verdict import Verdict, result_of, why_failed
from examples.tickets.worktrees import pools
from tercio import Client
from tercio.api.scheduler.v1 import task_pb2
from tercio.cli.plan_files import parse_plan
from tercio.states import TaskState

_PLAN = Path(__file__).with_name("plan.yaml")
_REPOSITORY = Path(__file__).resolve().parents[2]
_SHOWN_CHARACTERS = 500
"""Of what a failed ticket said last."""
_PATIENCE_S = 175.0
"""The tickets' own deadlines are a little shorter."""
_ENCORE_S = 180.0
"""How long it may still take to find the deaf agent and the bad configuration when the last ticket is solved: it is a
matter of seconds, and of many on a machine that does something else as well."""
_STRIKE_S = 5.0
"""The struck ticket is solved by then."""
_SMALL_S = 90.0
"""How long agents may take to leave after the last ticket: seconds, and more where each of them is slow."""
_WHOLE_S = 60.0
"""The last worktrees are cleaned by then, on any machine."""
_AHEAD = 11
"""Worktrees beyond one for each slot: for tickets that are admitted while the agent that they need is busy, for what
the killed and the deaf agent hold, and for those that are being cleaned."""
_NOT_AT_ALL = "no"


def main() -> int:
    """Run the demo; return the exit code."""
    total = len(parse_plan(_PLAN.read_text(encoding="utf-8")).tasks)
    board = Board(total=total)
    # What started the demo may stop it by SIGTERM; the worktrees are removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="tercio-tickets-") as name:
            folder = Path(name)
            with pools(_REPOSITORY, folder, ahead=MOST + _AHEAD) as settings:
                verdict = asyncio.run(_demo(board, folder, settings, total=total))
    except KeyboardInterrupt:
        return 130
    except FleetError as error:
        print(error)
        return 1
    for shortfall in verdict.shortfalls:
        print(shortfall)
    print(f"{verdict.solved} of {total} tickets succeeded", flush=True)
    return verdict.exit_code


async def _demo(board: Board, folder: Path, settings: Mapping[str, str], *, total: int) -> Verdict:
    async with running(folder=folder, settings=settings, say=board.say) as fleet:
        ledger, seen, growth = Ledger(), Pools(), Growth()
        reading = asyncio.create_task(fleet.follow())
        grower = Grower(fleet, growth, say=board.say)
        follower = await _prepared(fleet, seen, grower)
        board.say(f"{growth.first} agents are there: {', '.join(fleet.present)}")
        board.say(f"{len(seen.worktrees)} worktrees of {_REPOSITORY} are ready")
        with board.shown(fleet, seen):
            striking = asyncio.create_task(strike(fleet, ledger, say=board.say))
            relieving = asyncio.create_task(relieve(fleet, ledger, say=board.say))
            regressing = asyncio.create_task(regress(fleet, say=board.say))
            disputing = asyncio.create_task(dispute(fleet, folder, say=board.say))
            watching = asyncio.create_task(follower.follow())
            growing = asyncio.create_task(grower.follow())
            following = (striking, relieving, regressing, disputing, watching, growing, reading)
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await _solve(fleet, ledger, board, total=total)
                await asyncio.wait({striking}, timeout=_STRIKE_S)
                await asyncio.wait({relieving, regressing, disputing}, timeout=_ENCORE_S)
                await asyncio.wait_for(grower.until_small(), _SMALL_S)
            except TimeoutError:
                board.say("not every ticket ended, or agent left, in time")
            finally:
                for task in following:
                    task.cancel()
                await asyncio.gather(*following, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(follower.until_whole(), _WHOLE_S)
            await follower.close()
            await grower.close()
        for error in why_failed(following):
            board.say(error)
        verdict = Verdict(
            solved=len(ledger.succeeded),
            total=total,
            recovery=result_of(striking),
            relief=result_of(relieving),
            regression=result_of(regressing),
            disputes=result_of(disputing),
            returned=seen.returned,
            growth=growth,
            whole=seen.is_whole,
            spent=seen.budget.spent_tokens,
        )
        _report(board, fleet, ledger, verdict, seen)
    return verdict


async def _prepared(fleet: Fleet, seen: Pools, grower: Grower) -> PoolFollower:
    follower = PoolFollower(fleet, seen)
    try:
        await asyncio.wait_for(asyncio.gather(follower.prepare(), grower.begin()), _WHOLE_S)
    except TimeoutError:
        what = f"{seen.lines}, {len(fleet.present)} agents"
        raise FleetError(f"worktrees and agents were not ready within {_WHOLE_S:.0f} s: {what}") from None
    return follower


async def _solve(fleet: Fleet, ledger: Ledger, board: Board, *, total: int) -> None:
    """Submit the plan and follow it until every ticket has ended."""
    plan = parse_plan(_PLAN.read_text(encoding="utf-8"))
    async with (
        Client(address=fleet.address) as client,
        contextlib.aclosing(client.watch(plan_id=plan.plan_id, existing=True)) as changes,
    ):
        applying = asyncio.create_task(_apply(fleet))
        done = 0
        async for task in changes:
            if not ledger.note(task):
                continue
            done += 1
            board.count(task.attempt.agent_id)
            board.say(f"[{done:2}/{total}] {_line(task, ledger.tries(task))}")
            if done == total:
                break
        await applying


async def _apply(fleet: Fleet) -> None:
    """Submit the plan as anybody would: on the command line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tercio.cli", "plans", "apply", "-f", str(_PLAN), "--address", fleet.address),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        raise FleetError(f"the plan was not accepted: {said.decode()}")


def _line(task: task_pb2.Task, tries: int) -> str:
    if task.state != task_pb2.Task.STATE_SUCCEEDED:
        errors = task.errors[-1].message if task.errors else task.state_reason
        return f"{task.task_id} {TaskState(task.state).name}: {errors[-_SHOWN_CHARACTERS:]}"
    again = f", attempt {tries}" if tries > 1 else ""
    seconds = task.run_duration.ToMilliseconds() / 1000
    return f"{task.task_id} succeeded on {task.attempt.agent_id} in {seconds:.1f} s{again}"


def _report(board: Board, fleet: Fleet, ledger: Ledger, verdict: Verdict, seen: Pools) -> None:
    if not ledger.records:
        return
    submitted = min(task.submit_time.ToMilliseconds() for task in ledger.records.values())
    measures = summarise(ledger.runs(fleet), presences(fleet, until=now_ms()), submitted=submitted)
    failed = [task for task in ledger.records.values() if TaskState(task.state).is_terminal]
    rows = [
        ("succeeded", str(verdict.solved)),
        ("failed", str(len(failed) - verdict.solved)),
        ("retried", ", ".join(task.task_id for task in ledger.retried) or "none"),
        (
            "throughput",
            f"{measures.throughput_per_minute:.0f} tickets a minute, {measures.span_ms / 1000:.1f} s in all",
        ),
        ("ready → assigned", f"mean {measures.assigned_mean_ms:.0f} ms, p99 {measures.assigned_p99_ms:.0f} ms"),
        (
            "  with an agent free",
            f"mean {measures.prompt_mean_ms:.1f} ms, p99 {measures.prompt_p99_ms:.0f} ms",
        ),
        ("exit → recorded", f"mean {measures.recorded_mean_ms:.1f} ms"),
        (
            "agent utilisation",
            f"{measures.utilisation:.0%} while any ticket waited, "
            f"{measures.matched_utilisation:.0%} while one waited that the agent could run",
        ),
        (
            "coordination overhead",
            f"{measures.overhead:.1%}: {measures.coordination_ms / 1000:.2f} s "
            f"for {measures.run_ms / 1000:.0f} s of work",
        ),
    ]
    recovery = verdict.recovery
    if recovery is not None:
        ready_s, started_s = recovery.ready_after_ms / 1000, recovery.started_after_ms / 1000
        lost = (
            f"{recovery.agent} was killed at {recovery.ticket}; it was ready again after {ready_s:.1f} s, "
            f"and {recovery.elsewhere} began it anew after {started_s:.1f} s"
        )
        rows.insert(3, ("recovered", lost))
    rows.insert(-6, ("deaf agent found", str(verdict.relief or _NOT_AT_ALL)))
    rows.insert(-6, ("rolled back", str(verdict.regression or _NOT_AT_ALL)))
    rows.insert(-6, ("conflicts resolved", str(verdict.disputes or _NOT_AT_ALL)))
    rows.insert(-6, ("agents", str(verdict.growth)))
    rows.insert(-6, ("pools", seen.summary))
    rows.insert(-6, ("came back", str(verdict.returned or _NOT_AT_ALL)))
    board.table(rows)


if __name__ == "__main__":
    sys.exit(main())

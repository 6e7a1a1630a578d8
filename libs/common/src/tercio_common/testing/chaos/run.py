"""One chaos run: a workload, faults by the schedule, then quiet, then the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from tercio import CallError, Client
from tercio_common.testing.chaos.faults.catalogue import KINDS, chosen
from tercio_common.testing.chaos.fleet import SERVICE, Fleet, FleetPlan, running_fleet
from tercio_common.testing.chaos.holding import CLAIMS, CREW, POOLS, holding
from tercio_common.testing.chaos.liveness import watched_agents
from tercio_common.testing.chaos.parts import Part
from tercio_common.testing.chaos.report import Report, Tried, report_of
from tercio_common.testing.chaos.schedule import Planned, schedule
from tercio_common.testing.chaos.watcher import Watcher
from tercio_common.testing.chaos.workload import Workload
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import IncompleteRecordingError, Recorder, Verdict, judge, recorded

_RECORDING: Final = "recording"
TASKS_A_SECOND: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run.

    Attributes:
        seconds: how long work is submitted and faults are injected.
        seed: of the faults and of the work.
        tasks: how many are submitted; 0 is 50 a second.
        faults: names of kinds, or of families of them; empty is all.
        fleet: what it is done to.
        settle_s: longest time in which everything must come to rest afterwards.
    """

    seconds: float
    seed: int
    tasks: int = 0
    faults: tuple[str, ...] = ()
    fleet: FleetPlan = field(default_factory=FleetPlan)
    settle_s: float = 60.0


Told = Callable[[str], None]


async def run_chaos(plan: Plan, *, etcd: Path, folder: Path, on_fault: Told = lambda _: None) -> Report:
    """Run it and judge it.

    Args:
        plan: what is run.
        etcd: the program.
        folder: empty; for data, logs and the recording.
        on_fault: told the name of each kind as it is injected.

    Raises:
        SettingsError: a fault is unknown.
        EtcdNotReadyError: etcd does not come up.
        ServerNotReadyError: the scheduler does not come up.
    """
    planned = schedule(chosen(plan.faults), seconds=plan.seconds, seed=plan.seed)
    injected: Counter[str] = Counter()

    def tell(name: str) -> None:
        injected[name] += 1
        on_fault(name)

    async with (
        running_fleet(plan.fleet, binary=etcd, folder=folder) as fleet,
        recorded(fleet.store.journal(SERVICE), folder / _RECORDING) as recorder,
        _parts(plan, fleet, folder) as parts,
        _load(plan, fleet, recorder) as (work, watcher),
    ):
        await asyncio.gather(
            work.run(plan.tasks or round(plan.seconds * TASKS_A_SECOND), seconds=plan.seconds),
            _inject_all(planned, fleet, tell),
        )
        troubles = [*fleet.ended_by_themselves(), *await _come_to_rest(fleet, work, watcher, parts, plan.settle_s)]
    return await _judged(plan, fleet, work, watcher, parts, injected, troubles, folder / _RECORDING)


@contextlib.asynccontextmanager
async def _parts(plan: Plan, fleet: Fleet, folder: Path) -> AsyncIterator[tuple[Part, ...]]:
    """Give what is done with the other services, which ends with the block."""
    async with contextlib.AsyncExitStack() as stack:
        parts: list[Part] = [await stack.enter_async_context(watched_agents(fleet, folder))]
        for kind, replicas in ((POOLS, fleet.pools), (CLAIMS, fleet.claims), (CREW, fleet.scaling)):
            if replicas:
                part = holding(kind, fleet, replicas, folder, seed=plan.seed)
                parts.append(await stack.enter_async_context(part))
        yield tuple(parts)


@contextlib.asynccontextmanager
async def _load(plan: Plan, fleet: Fleet, recorder: Recorder) -> AsyncIterator[tuple[Workload, Watcher]]:
    """Give the workload and the watch, which ends with the block."""
    watcher = Watcher(fleet.fronts, recorder.observe)
    await watcher.begin()
    watching = asyncio.create_task(_watch(watcher, fleet))
    async with Client(address=fleet.address) as client:
        work = Workload(client, fleet, recorder.observe, seed=plan.seed)
        try:
            yield work, watcher
        finally:
            watching.cancel()
            await work.give_up()
            await asyncio.gather(watching, return_exceptions=True)


async def _watch(watcher: Watcher, fleet: Fleet) -> None:
    try:
        await watcher.run()
    except grpc.aio.AioRpcError as error:
        fleet.complain("G10", "Watcher", f"the watch was refused: {error.details()}")


async def _inject_all(planned: Sequence[Planned], fleet: Fleet, tell: Told) -> None:
    """Inject every fault at its time and heal it; returns when all are healed."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        for one in planned:
            await asyncio.sleep(max(0.0, begin + one.at_ms / 1000 - loop.time()))
            group.create_task(_inject(one, fleet, tell))


async def _inject(planned: Planned, fleet: Fleet, tell: Told) -> None:
    fault = KINDS[planned.name].make()
    tell(planned.name)
    try:
        await fault.inject(fleet, random.Random(planned.seed))
        await asyncio.sleep(planned.hold_ms / 1000)
    finally:
        await fault.heal()


async def _come_to_rest(
    fleet: Fleet, work: Workload, watcher: Watcher, parts: Sequence[Part], within_s: float
) -> list[str]:
    """Wait until nothing is open any more, and enter the listing; return what did not come to rest."""
    within_ms = round(within_s * 1000)
    at = "etcd and the replicas answer"
    try:
        async with asyncio.timeout(within_s):
            await fleet.ready()
            at = "the client knows how every task ended"
            await work.all_ended()
            at = "no task is open"
            await eventually(work.nothing_is_open, within_ms=within_ms)
            at = "the watch shows the last task's end"
            last = await work.submit_work()
            await eventually(lambda: last.task_id in watcher.ended, within_ms=within_ms)
            await work.all_ended()
            at = "every task is listed"
            await work.note_listing()
            for part in parts:
                at = part.rest
                await part.settle(within_ms=within_ms)
    except (TimeoutError, AssertionError, CallError) as error:
        return [f"{within_s:.0f} s after the last fault it did not hold that {at} {error}".rstrip()]
    return []


async def _judged(
    plan: Plan,
    fleet: Fleet,
    work: Workload,
    watcher: Watcher,
    parts: Sequence[Part],
    injected: Mapping[str, int],
    troubles: Sequence[str],
    recording: Path,
) -> Report:
    refused = [f"{count} submissions were refused: {reason}" for reason, count in work.refused.items()]
    complaints = list(fleet.complaints)
    verdict: Verdict | None = None
    tried_on: dict[str, str] = {}
    try:
        for part in parts:
            of_part = await asyncio.to_thread(part.judge)
            complaints += of_part.violations
            for promise, what in part.tried_on(of_part).items():
                tried_on[promise] = ", ".join(filter(None, (tried_on.get(promise), what)))
        verdict = await asyncio.to_thread(judge, recording)
    except IncompleteRecordingError as error:
        refused.append(str(error))
    tried = Tried(
        acknowledged=work.acknowledged,
        ended={state.name: count for state, count in sorted(work.ended.items())},
        watched=watcher.changes,
        resumed=watcher.resumed,
        same_requests=injected.get("same-request", 0),
        of_parts=tried_on,
    )
    return report_of(
        verdict,
        seed=plan.seed,
        faults=injected,
        tried=tried,
        complaints=complaints,
        troubles=[*troubles, *refused],
    )

"""Agents as single Pods that this driver makes and deletes: exactly the chosen one leaves.

A leader that was replaced without knowing must neither add a Pod nor remove one:

- **Order of asking**: each scale first writes the pool's record, in one patch with its `resourceVersion` and the epoch.
- **Adding**: a Pod is made behind a scheduling gate, runs nowhere, and is let through only after the record was read
  once more and still showed no higher epoch. A new leader writes its epoch on the record first, and then on every Pod
  there is. So a Pod that it did not see was made after that, and its maker sees the record; and one that it saw has
  another `resourceVersion`, with which the maker's patch is refused.
- **Removing**: a deletion names the Pod's uid and the `resourceVersion` with which it was read, and no Pod is removed
  that shows a higher epoch.

A running Pod that was not chosen is never removed; how many there are comes to what is asked with the next choice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from tercio_common.clock import Clock
from tercio_common.epochs import Epoch
from tercio_scaling.drivers.cluster import Cluster, Conflict, Json, NotThere
from tercio_scaling.drivers.fencing import WRITES, admit, epoch_of, marked
from tercio_scaling.drivers.kubernetes_settings import KubernetesSettings
from tercio_scaling.drivers.pod_members import members_of, phase_of
from tercio_scaling.drivers.pod_pools import AGENTS, GATE, PodPool, finished, gates_of
from tercio_scaling.drivers.protocol import FAILED, LEAVING, RUNNING, Driver, Fenced, Target, View, WriteConflict
from tercio_scaling.drivers.watching import Feed, changes_of

_REMOVAL_ORDER: Final = {FAILED: 0}
"""Of those that were not chosen and do not run: what cannot start goes before what starts."""


def build(settings: Any, clock: Clock) -> Driver:
    """See `Factory`; of the settings of the service it takes `kubernetes`."""
    return PodsDriver(settings.kubernetes, clock)


class PodsDriver:
    """See `Driver`. The spec has `namespace` and `template`."""

    def __init__(self, settings: KubernetesSettings, clock: Clock) -> None:
        self._cluster = Cluster(settings)
        self._clock = clock

    async def fence(self, target: Target, epoch: Epoch) -> None:
        pool = PodPool.of(target)
        await self._write_record(pool, epoch, None)

        async def mark(pod: Json) -> None:
            await self._patch(pool, pod, epoch, {})

        pods = [pod for pod in await self._pods(pool) if epoch_of(pod) != epoch and phase_of(pod) != LEAVING]
        await self._cluster.each(mark, pods)

    async def view(self, target: Target) -> View:
        pool = PodPool.of(target)
        answer = await self._cluster.ask("GET", pool.pods, query=pool.selector)
        pods: list[Json] = answer["items"]
        # Nobody else replaces them: what is not there, or waits behind its gate, is brought by another scale.
        let_through = [pod for pod in pods if _stays(pod) and GATE not in gates_of(pod)]
        return View(len(let_through), members_of(pods), answer["metadata"]["resourceVersion"])

    async def scale(self, target: Target, epoch: Epoch) -> View:
        pool = PodPool.of(target)
        await self._write_record(pool, epoch, target.agents)
        plan = _plan(await self._pods(pool), target, epoch)

        async def remove(pod: Json) -> None:
            await self._remove(pool, pod, epoch, running=pod["metadata"]["name"] in target.victims)

        await self._cluster.each(remove, plan.removed)
        await self._add(pool, plan, epoch)
        return await self.view(target)

    def changes(self, target: Target) -> AsyncIterator[None]:
        pool = PodPool.of(target)

        async def pods() -> dict[str, str]:
            return dict(pool.selector)

        return changes_of(self._cluster, self._clock, (Feed(pool.pods, pods),))

    async def close(self) -> None:
        await self._cluster.close()

    async def _write_record(self, pool: PodPool, epoch: Epoch, agents: int | None) -> None:
        """Write the epoch, and how many are asked for unless that stays."""
        for _ in range(WRITES):
            try:
                record = await self._cluster.ask("GET", pool.record)
            except NotThere:
                if await self._first_record(pool, epoch) and agents is None:
                    return
                continue
            admit(record, epoch)
            present = pool.asked(record)
            if epoch_of(record) == epoch and agents in (None, present):
                return
            data = {} if agents is None else {"data": {AGENTS: str(agents)}}
            try:
                await self._cluster.ask("PATCH", pool.record, body={"metadata": marked(record, epoch), **data})
            except Conflict:
                continue
            return
        raise WriteConflict(f"{pool.record} changed during each of {WRITES} attempts to write it")

    async def _first_record(self, pool: PodPool, epoch: Epoch) -> bool:
        """Make the record; tell whether nobody was faster."""
        try:
            await self._cluster.ask("POST", pool.records, body=pool.new_record(epoch))
        except Conflict:
            return False
        return True

    async def _add(self, pool: PodPool, plan: _Plan, epoch: Epoch) -> None:
        """Make Pods, and let through those behind the gate if this leader may still ask for them."""

        async def make(_: int) -> Json:
            return await self._cluster.ask("POST", pool.pods, body=pool.new_pod(epoch))

        async def let_through(pod: Json) -> None:
            left = [{"name": gate} for gate in gates_of(pod) if gate != GATE]
            await self._patch(pool, pod, epoch, {"spec": {"schedulingGates": left or None}})

        async def take_back(pod: Json) -> None:
            await self._remove(pool, pod, epoch, running=False)

        made = await self._cluster.each(make, range(plan.missing))
        if not (made or plan.held):
            return
        try:
            admit(await self._cluster.ask("GET", pool.record), epoch)
        except Fenced:
            await self._cluster.each(take_back, made)
            raise
        await self._cluster.each(let_through, [*plan.held, *made])

    async def _patch(self, pool: PodPool, pod: Json, epoch: Epoch, change: Json) -> None:
        """Write the epoch on a Pod, and a change with it, unless it has gone."""
        path, uid = f"{pool.pods}/{pod['metadata']['name']}", pod["metadata"]["uid"]
        for _ in range(WRITES):
            admit(pod, epoch)
            try:
                await self._cluster.ask("PATCH", path, body={"metadata": marked(pod, epoch), **change})
            except NotThere:
                return
            except Conflict:
                found = await self._found(path, uid)
                if found is None:
                    return
                pod = found
                continue
            return
        raise WriteConflict(f"{path} changed during each of {WRITES} attempts to write it")

    async def _remove(self, pool: PodPool, pod: Json, epoch: Epoch, *, running: bool) -> None:
        """Delete exactly this Pod; without `running` not if it came to run meanwhile."""
        path, uid = f"{pool.pods}/{pod['metadata']['name']}", pod["metadata"]["uid"]
        for _ in range(WRITES):
            admit(pod, epoch)
            if phase_of(pod) == LEAVING or (phase_of(pod) == RUNNING and not running):
                return
            as_read = {"uid": uid, "resourceVersion": pod["metadata"]["resourceVersion"]}
            try:
                await self._cluster.ask("DELETE", path, body={"preconditions": as_read})
            except NotThere:
                return
            except Conflict:
                found = await self._found(path, uid)
                if found is None:
                    return
                pod = found
                continue
            return
        raise WriteConflict(f"{path} changed during each of {WRITES} attempts to delete it")

    async def _found(self, path: str, uid: str) -> Json | None:
        """Return a Pod as it is now; None if it has gone, or another has its name."""
        try:
            pod = await self._cluster.ask("GET", path)
        except NotThere:
            return None
        return pod if pod["metadata"]["uid"] == uid else None

    async def _pods(self, pool: PodPool) -> list[Json]:
        found: list[Json] = (await self._cluster.ask("GET", pool.pods, query=pool.selector))["items"]
        return found


class _Plan(NamedTuple):
    """What is to be done about the Pods that were read.

    Attributes:
        removed: those to delete.
        held: those that this leader made and has not let through.
        missing: how many to make.
    """

    removed: list[Json]
    held: list[Json]
    missing: int


def _stays(pod: Json) -> bool:
    return phase_of(pod) != LEAVING and not finished(pod)


def _plan(pods: list[Json], target: Target, epoch: Epoch) -> _Plan:
    ended = [pod for pod in pods if phase_of(pod) != LEAVING and finished(pod)]
    there = {pod["metadata"]["name"]: pod for pod in pods if _stays(pod)}
    strays = [pod for pod in there.values() if GATE in gates_of(pod) and epoch_of(pod) < epoch]
    for stray in strays:
        del there[stray["metadata"]["name"]]
    surplus = max(0, len(there) - target.agents)
    chosen = [there.pop(name) for name in [name for name in target.victims if name in there][:surplus]]
    spare = sorted(
        (pod for pod in there.values() if phase_of(pod) != RUNNING),
        key=lambda pod: _REMOVAL_ORDER.get(phase_of(pod), 1),
    )[: surplus - len(chosen)]
    kept = [pod for pod in there.values() if pod not in spare]
    held = [pod for pod in kept if GATE in gates_of(pod)]
    return _Plan([*ended, *strays, *chosen, *spare], held, max(0, target.agents - len(kept)))

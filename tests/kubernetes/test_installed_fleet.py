"""The chart on real nodes: it comes up, is well, runs what it is given, and keeps it when its parts are killed.

The images are those of `make images`, which the nodes must have: `kind load docker-image tercio/agent:0.1.0 ...`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest

from support.agent_pods import AgentPods, watched_pods
from support.helm_release import CHART, NAME, CommandError, Release, installed
from tercio import Client, TaskSpec
from tercio.api.scaling.v1 import scaling_service_pb2
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.api.scheduler.v1 import plan_pb2, task_pb2, task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio_common.testing.eventually import eventually

pytestmark = pytest.mark.timeout(300)

POOL = "tickets"
SERVICES = ("registry", "scheduler", "resources", "conflicts", "scaling")
DEPLOYMENT = f"{NAME}-agents-{POOL}"
AGENTS = f"deployment/{DEPLOYMENT}"
LEAST, MOST, STEP = 1, 8, 4
TICKETS = 42
VALUES = {
    "agents": {
        "pool": POOL,
        # Long enough for a plan to outlast the time until another leader has taken over.
        "command": ["sh", "-c", "sleep 5; cat"],
        "scaling": {
            "min_agents": LEAST,
            "max_agents": MOST,
            "up_step": STEP,
            "down_step": STEP,
            "cooldown": "5s",
            "window": "5s",
            "sustained": "10s",
            "wait_target": "10s",
        },
    }
}

_POLL_S = 0.25
_LISTS_PACKAGES = """
import importlib.metadata, json, os
try:
    open("/opt/tercio/written", "w")
    written = True
except OSError:
    written = False
names = sorted(each.name for each in importlib.metadata.distributions())
print(json.dumps({"packages": names, "user": os.getuid(), "written": written}))
"""


@pytest.fixture(scope="module")
def release(kubeconfig: str) -> Iterator[Release]:
    with installed(VALUES) as running:
        yield running


def test_it_is_well_as_soon_as_it_is_installed(release: Release) -> None:
    said = release.helm("test", "--logs", "--timeout", "90s")
    assert "Phase:          Succeeded" in said
    for service in SERVICES:
        assert f"ok     {service}" in said


def test_its_notes_say_commands_that_work(release: Release) -> None:
    notes = [line.strip() for line in release.helm("status").splitlines()]
    doctor, submit, events = (
        next(line for line in notes if words in line) for words in ("tercio doctor", "tercio submit", "scaling events")
    )
    assert "1 HEALTHY" in release.shell(doctor)
    assert release.shell(submit) == '"hello, fleet"\n'
    assert POOL in release.shell(events)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_its_own_packages_no_rights_and_nowhere_to_write(release: Release, service: str) -> None:
    found = _look_inside(release, f"deployment/{NAME}-{service}")
    ours = {each for each in found["packages"] if each.startswith("tercio")}
    assert ours == {"tercio", "tercio-common", f"tercio-{service}"}
    assert ("google-re2" in found["packages"]) == (service == "registry")
    assert ("kubernetes" in found["packages"]) == (service == "scaling")
    assert "pytest" not in found["packages"]
    assert (found["user"], found["written"]) == (65532, False)


def test_an_agent_has_no_part_of_a_service(release: Release) -> None:
    found = _look_inside(release, AGENTS)
    assert {each for each in found["packages"] if each.startswith("tercio")} == {"tercio"}
    assert (found["user"], found["written"]) == (65532, False)


def _look_inside(release: Release, workload: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(release.kubectl("exec", workload, "--", "python", "-c", _LISTS_PACKAGES))
    return found


async def test_what_was_accepted_outlives_every_pod(release: Release) -> None:
    impossible = TaskSpec(task_type="fly", options={"requires": {"wings": 1}})
    with release.forwarded(f"{NAME}-scheduler", 7402) as address:
        async with Client(address=address) as client:
            await client.create_plan([impossible], plan_id="kept")
    if not release.has_volumes:
        pytest.skip("the cluster has no volumes, so what etcd holds ends with its Pod")
    release.kubectl("delete", "pods", "--selector", "app.kubernetes.io/component in (etcd, scheduler, registry)")
    for part in (f"statefulset/{NAME}-etcd", f"deployment/{NAME}-scheduler", f"deployment/{NAME}-registry"):
        release.kubectl("rollout", "status", part, "--timeout=90s")
    with release.forwarded(f"{NAME}-scheduler", 7402) as address:
        async with Client(address=address) as client:
            found = await client.get_plan("kept")
            await client.cancel_plan("kept")
    assert (found.state, found.task_count) == (plan_pb2.Plan.STATE_RUNNING, 1)


def test_an_upgrade_keeps_the_secret_of_the_fleet_and_leaves_it_well(release: Release) -> None:
    def token() -> str:
        (secret,) = release.objects("secret", "app.kubernetes.io/component=settings")
        return str(secret["data"]["token"])

    before = token()
    release.upgrade({"services": {"registry": {"env": [{"name": "TERCIO_SERVER__LOG_LEVEL", "value": "warning"}]}}})
    assert token() == before
    assert "Phase:          Succeeded" in release.helm("test", "--timeout", "90s")
    assert release.kubectl("logs", f"deployment/{NAME}-registry", "--tail=-1").count('"info"') == 0


def test_the_number_of_members_of_etcd_is_not_changed_by_an_upgrade(release: Release) -> None:
    with pytest.raises(CommandError, match="etcd has 1 members, and keeps as many"):
        release.helm("upgrade", str(CHART), "--reuse-values", "--set", "etcd.members=3")


class _Plan:
    """42 tickets, submitted and looked at through the address of a Service."""

    def __init__(self, address: str, client: Client) -> None:
        self._client = client
        self._channel = grpc.aio.insecure_channel(address)
        self.plan_id = ""

    async def submit(self) -> None:
        tickets = [TaskSpec(task_type="ticket", payload=f"ticket {number}") for number in range(TICKETS)]
        self.plan_id = (await self._client.create_plan(tickets)).plan_id

    async def has_ended(self) -> bool:
        await asyncio.sleep(_POLL_S)
        return (await self._client.get_plan(self.plan_id)).state != plan_pb2.Plan.STATE_RUNNING

    async def tasks(self) -> list[task_pb2.Task]:
        chosen = task_service_pb2.TaskFilter(plan_id=self.plan_id)
        request = task_service_pb2.ListTasksRequest(page_size=TICKETS + 1, filter=chosen)
        return list((await TaskServiceStub(self._channel).ListTasks(request, timeout=10)).tasks)

    async def close(self) -> None:
        await self._channel.close()


@asynccontextmanager
async def plan_through(release: Release) -> AsyncIterator[_Plan]:
    with release.forwarded(f"{NAME}-scheduler", 7402) as address:
        async with Client(address=address) as client:
            plan = _Plan(address, client)
            try:
                yield plan
            finally:
                await plan.close()


async def _through_42_tickets(release: Release, kubeconfig: str, meanwhile: Callable[[], None]) -> None:
    """Submit; do something as soon as the pool has grown; see everything done, and the pool as small as before."""
    async with (
        plan_through(release) as plan,
        watched_pods(kubeconfig, namespace=release.namespace, deployment=DEPLOYMENT) as seen,
    ):
        await eventually(lambda: len(seen.running) == LEAST, within_ms=60_000)
        await plan.submit()
        await eventually(lambda: seen.asked[-1] > LEAST, within_ms=60_000)
        meanwhile()
        await eventually(plan.has_ended, within_ms=180_000)
        await eventually(lambda: (seen.asked[-1], len(seen.running)) == (LEAST, LEAST), within_ms=90_000)
        tasks = await plan.tasks()
    assert {task.state for task in tasks} == {task_pb2.Task.STATE_SUCCEEDED}
    assert len(tasks) == TICKETS
    assert seen.most >= 6
    assert all(LEAST <= asked <= MOST for asked in seen.asked)
    _check_that_nothing_busy_left(tasks, seen)


def _check_that_nothing_busy_left(tasks: list[task_pb2.Task], seen: AgentPods) -> None:
    """No attempt was lost, and none ended on a Pod after it had been told to end."""
    assert {(task.attempt.number, task.failures) for task in tasks} == {(1, 0)}
    resolution = timedelta(seconds=1)
    for task in tasks:
        told = seen.told_to_end.get(task.attempt.agent_id)
        ended = task.end_time.ToDatetime(tzinfo=None if told is None else told.tzinfo)
        assert told is None or ended <= told + resolution, f"{task.attempt.agent_id} was busy when told to end"


async def test_agents_come_for_42_tickets_and_go_after_them(release: Release, kubeconfig: str) -> None:
    await _through_42_tickets(release, kubeconfig, lambda: None)


async def test_the_death_of_the_scaling_leader_in_the_middle_changes_nothing(release: Release, kubeconfig: str) -> None:
    leader = await _leader_of_scaling(release)

    def kill() -> None:
        release.kubectl("delete", "pod", leader, "--grace-period=0", "--force")

    await _through_42_tickets(release, kubeconfig, kill)
    assert await _leader_of_scaling(release) != leader


async def _leader_of_scaling(release: Release) -> str:
    """Return the Pod that answers by itself; the others name the leader that they passed the call on to."""
    for pod in release.objects("pod", "app.kubernetes.io/component=scaling"):
        name = str(pod["metadata"]["name"])
        with release.forwarded(name, 7405, kind="pod") as address:
            async with grpc.aio.insecure_channel(address) as channel:
                call = ScalingServiceStub(channel).ListPools(scaling_service_pb2.ListPoolsRequest(), timeout=15)
                await call
                if "tercio-leader" not in dict(await call.initial_metadata() or ()):
                    return name
    raise AssertionError("no replica of scaling leads")


async def test_scaling_says_what_it_did_and_why(release: Release) -> None:
    with release.forwarded(f"{NAME}-scaling", 7405) as address:
        async with grpc.aio.insecure_channel(address) as channel:
            request = scaling_service_pb2.ListScalingEventsRequest(page_size=1000)
            events = list((await ScalingServiceStub(channel).ListScalingEvents(request, timeout=15)).events)
    grown = [event for event in events if event.after_count > event.before_count]
    shrunk = [event for event in events if event.after_count < event.before_count]
    assert grown
    assert shrunk
    assert all(event.reason and event.rule for event in (*grown, *shrunk))
    assert all(abs(event.after_count - event.before_count) <= STEP for event in (*grown, *shrunk))

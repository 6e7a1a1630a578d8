"""The chart on real nodes: it comes up, is well, runs what it is given, and keeps it when its parts are killed.

The images are those of `make images`, which the nodes must have: `kind load docker-image tercio/agent:0.1.0 ...`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.helm_release import NAME, Release, installed
from tercio import Client, TaskSpec
from tercio.api.scheduler.v1 import plan_pb2

pytestmark = pytest.mark.timeout(300)

POOL = "tickets"
SERVICES = ("registry", "scheduler", "resources", "conflicts")
AGENTS = f"deployment/{NAME}-agents-{POOL}"

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
    with installed({"agents": {"pool": POOL}, "services": {"scaling": {"enabled": False}}}) as running:
        yield running


def test_it_is_well_as_soon_as_it_is_installed(release: Release) -> None:
    said = release.helm("test", "--logs", "--timeout", "90s")
    assert "Phase:          Succeeded" in said
    for service in SERVICES:
        assert f"ok     {service}" in said


def test_its_notes_say_commands_that_work(release: Release) -> None:
    notes = [line.strip() for line in release.helm("status").splitlines()]
    doctor, submit = (next(line for line in notes if words in line) for words in ("tercio doctor", "tercio submit"))
    assert "1 HEALTHY" in release.shell(doctor)
    assert release.shell(submit) == '"hello, fleet"\n'


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_its_own_packages_no_rights_and_nowhere_to_write(release: Release, service: str) -> None:
    found = _look_inside(release, f"deployment/{NAME}-{service}")
    ours = {each for each in found["packages"] if each.startswith("tercio")}
    assert ours == {"tercio", "tercio-common", f"tercio-{service}"}
    assert ("google-re2" in found["packages"]) == (service == "registry")
    assert "kubernetes" not in found["packages"]
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
    release.upgrade({"settings": {"server": {"log_level": "debug"}}})
    assert token() == before
    assert "Phase:          Succeeded" in release.helm("test", "--timeout", "90s")
    settings = release.kubectl("exec", f"deployment/{NAME}-registry", "--", "cat", "/etc/tercio/settings.yaml")
    assert "log_level: debug" in settings

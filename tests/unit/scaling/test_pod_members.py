"""What Pods are to a pool, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tercio_scaling.drivers.pod_members import DELETION_COST, cost_changes, member_of, members_of
from tercio_scaling.drivers.protocol import FAILED, LEAVING, RUNNING, STARTING, Member


def pod(name: str = "a", *, cost: str | None = None, leaving: bool = False, **status: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-01-02T03:04:05Z"}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-02T03:05:05Z"
    if cost is not None:
        metadata["annotations"] = {DELETION_COST: cost}
    return {"metadata": metadata, "spec": {}, "status": status}


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason}}}


def test_a_member_is_its_name_age_and_uid() -> None:
    assert member_of(pod(phase="Running")) == Member("a", RUNNING, 1_767_323_045_000, "uid-a")
    assert [member.agent_id for member in members_of([pod("b"), pod("a")])] == ["a", "b"]


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        pytest.param(pod(), STARTING, id="no-status-yet"),
        pytest.param(pod(phase="Pending"), STARTING, id="pending"),
        pytest.param(pod(phase="Pending", containerStatuses=[waiting("ContainerCreating")]), STARTING, id="creating"),
        pytest.param(pod(phase="Running", containerStatuses=[{"state": {"running": {}}}]), RUNNING, id="running"),
        pytest.param(pod(phase="Unknown"), STARTING, id="unknown"),
        pytest.param(pod(phase="Running", leaving=True), LEAVING, id="told-to-end"),
        pytest.param(pod(phase="Failed", leaving=True), LEAVING, id="ended-when-told"),
        pytest.param(pod(phase="Failed"), FAILED, id="failed"),
        pytest.param(pod(phase="Succeeded"), FAILED, id="ended-by-itself"),
        pytest.param(pod(phase="Running", containerStatuses=[waiting("CrashLoopBackOff")]), FAILED, id="crashes"),
        pytest.param(pod(phase="Pending", containerStatuses=[waiting("ImagePullBackOff")]), FAILED, id="no-image"),
    ],
)
def test_a_phase_is_what_is_known_of_a_pod(found: dict[str, Any], phase: str) -> None:
    assert member_of(found).phase == phase


def test_victims_cost_least_in_their_order_and_former_ones_nothing() -> None:
    pods = [pod("a"), pod("b", cost="-999999"), pod("c", cost="5"), pod("d", cost="-1000000"), pod("e", leaving=True)]
    assert cost_changes(pods, ("c", "a", "e", "x")) == {"c": "-1000000", "a": "-999999", "b": None, "d": None}


def test_costs_that_are_right_or_of_people_stay() -> None:
    pods = [pod("a", cost="-1000000"), pod("b", cost="-7"), pod("c", cost="high"), pod("d", cost="2147483647")]
    assert cost_changes(pods, ("a",)) == {}

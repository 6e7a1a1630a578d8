"""What a Pod is to a pool: a member, in one of its phases, and what it costs to remove it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from tercio_scaling.drivers.protocol import FAILED, LEAVING, RUNNING, STARTING, Member

DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
_LOWEST_COST: Final = -1_000_000
"""Of the first victim, the next one's is one more: far below what people write, and 32 bits hold it."""
_OUR_COSTS: Final = range(_LOWEST_COST, _LOWEST_COST // 2)
_HOPELESS: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""Why a container waits that will not run unless somebody changes something."""


def member_of(pod: dict[str, Any]) -> Member:
    """Return the member that a Pod is."""
    metadata = pod["metadata"]
    made = datetime.fromisoformat(metadata["creationTimestamp"])
    return Member(metadata["name"], phase_of(pod), int(made.timestamp() * 1_000), metadata["uid"])


def members_of(pods: list[dict[str, Any]]) -> tuple[Member, ...]:
    """Return the members that Pods are, by agent id."""
    return tuple(sorted(map(member_of, pods)))


def phase_of(pod: dict[str, Any]) -> str:
    """Return a Pod's phase as a member."""
    if pod["metadata"].get("deletionTimestamp"):
        return LEAVING
    status = pod.get("status") or {}
    phase = status.get("phase")
    if phase in ("Failed", "Succeeded") or _hopeless(status):
        return FAILED
    return RUNNING if phase == "Running" else STARTING


def cost_changes(pods: list[dict[str, Any]], victims: tuple[str, ...]) -> dict[str, str | None]:
    """Return what the deletion cost of which Pods becomes: low for victims, none for those that were victims once."""
    wanted = {name: str(_LOWEST_COST + place) for place, name in enumerate(victims)}
    changes: dict[str, str | None] = {}
    for pod in pods:
        name, present = pod["metadata"]["name"], _cost(pod)
        if pod["metadata"].get("deletionTimestamp"):
            continue
        if name in wanted:
            if present != wanted[name]:
                changes[name] = wanted[name]
        elif present is not None and _ours(present):
            changes[name] = None
    return changes


def _cost(pod: dict[str, Any]) -> str | None:
    found: str | None = (pod["metadata"].get("annotations") or {}).get(DELETION_COST)
    return found


def _ours(cost: str) -> bool:
    return cost.removeprefix("-").isdecimal() and int(cost) in _OUR_COSTS


def _hopeless(status: dict[str, Any]) -> bool:
    waiting = (one.get("state", {}).get("waiting") or {} for one in status.get("containerStatuses") or ())
    return any(one.get("reason") in _HOPELESS for one in waiting)

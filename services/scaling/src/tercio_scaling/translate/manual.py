"""What people ask for by hand: contract to commands."""

from __future__ import annotations

from typing import Final, NamedTuple

from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.rpc.violations import Violations
from tercio_scaling.state.commands import CoordinateScaling, ScalePool, SurgePool, Wish
from tercio_scaling.state.observations import Observation
from tercio_scaling.translate.fields import DAY_MS, HOUR_MS, MOST_AGENTS, MOST_MONEY, reason_of
from tercio_scaling.translate.observations import observation_of

_MOST_POOLS: Final = 100


class Scaled(NamedTuple):
    """A command, and for how long its end is waited for, in ms."""

    command: ScalePool
    wait: int


class Coordinating(NamedTuple):
    """A command, whether it is only tried, and for how long its end is waited for, in ms."""

    command: CoordinateScaling
    is_dry: bool
    wait: int


def scaled_of(request: pb.ScalePoolRequest) -> Scaled:
    """Translate a change by hand. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    kind = request.WhichOneof("number")
    found.check("number", kind is not None, "either agents or change is needed")
    found.check_range("agents", request.agents, least=0, most=MOST_AGENTS)
    found.check_range("change", request.change, least=-MOST_AGENTS, most=MOST_AGENTS)
    reason = reason_of(request.reason, found)
    hold = found.check_duration("hold", request.hold, least_ms=0, most_ms=7 * DAY_MS)
    wait = found.check_duration("wait_timeout", request.wait_timeout, least_ms=0, most_ms=HOUR_MS)
    found.raise_if_any()
    agents = request.agents if kind == "agents" else None
    return Scaled(
        ScalePool(pool_id=request.pool_id, reason=reason, agents=agents, change=request.change, hold=hold), wait
    )


def surge_command(request: pb.SurgePoolRequest) -> SurgePool:
    """Translate a surge."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    found.check_range("max_agents", request.max_agents, least=0, most=MOST_AGENTS)
    found.check_range("up_step", request.up_step, least=0, most=MOST_AGENTS)
    limit = request.cost_limit_micros_per_hour
    found.check_range("cost_limit_micros_per_hour", limit, least=0, most=MOST_MONEY)
    lasts = found.check_duration("duration", request.duration, least_ms=1_000, most_ms=DAY_MS)
    reason = reason_of(request.reason, found)
    found.raise_if_any()
    return SurgePool(
        pool_id=request.pool_id,
        reason=reason,
        duration=lasts,
        most=request.max_agents,
        up_step=request.up_step,
        cost_limit=limit,
    )


def coordinating_of(request: pb.CoordinateScalingRequest) -> Coordinating:
    """Translate a coordinated scaling."""
    found = Violations()
    found.check_length("targets", request.targets, least=1, most=_MOST_POOLS, unit="pools")
    seen: set[str] = set()
    for index, target in enumerate(request.targets):
        path = f"targets[{index}]"
        found.check_id(f"{path}.pool_id", target.pool_id)
        found.check(f"{path}.pool_id", target.pool_id not in seen, f"{target.pool_id!r} is given twice")
        found.check_range(f"{path}.agents", target.agents, least=0, most=MOST_AGENTS)
        seen.add(target.pool_id)
    reason = reason_of(request.reason, found)
    wait = found.check_duration("wait_timeout", request.wait_timeout, least_ms=0, most_ms=HOUR_MS)
    found.raise_if_any()
    wishes = tuple([Wish(each.pool_id, each.agents if each.HasField("agents") else None) for each in request.targets])
    return Coordinating(CoordinateScaling(wishes=wishes, reason=reason), request.dry_run, wait)


def evaluated_of(request: pb.EvaluatePoolRequest) -> tuple[str, Observation | None]:
    """Return which pool is to be evaluated, and what is to be taken as seen of it, if anything."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    inputs = observation_of(request.observation, found) if request.HasField("observation") else None
    found.raise_if_any()
    return request.pool_id, inputs

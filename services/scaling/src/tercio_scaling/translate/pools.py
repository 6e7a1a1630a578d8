"""Pools: contract to domain and back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.filtering.predicates import Filter
from tercio_common.rpc.fields import duration, epoch_message, filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_scaling.state.commands import ApplyPool, DeletePool
from tercio_scaling.state.filters import POOL_FIELDS
from tercio_scaling.state.pools import DEFAULT_TRIGGERS, AgentPool
from tercio_scaling.state.rows import PoolRow
from tercio_scaling.state.status import PoolStatus
from tercio_scaling.translate.drivers import driver_of, set_driver
from tercio_scaling.translate.fields import DAY_MS, HOUR_MS, MOST_AGENTS, MOST_MONEY
from tercio_scaling.translate.observations import observation_message

_DEFAULT: Final = AgentPool("")
_DEFAULT_ROW: Final = PoolRow("", _DEFAULT, "")
_PHASES: Final = agent_pool_pb2.AgentPool.Victim.Phase


def apply_command(request: pb.ApplyPoolRequest, triggers: Collection[str]) -> ApplyPool:
    """Translate what is declared; `triggers` are those that there are. Raises INVALID_ARGUMENT, as all below do."""
    found, pool = Violations(), request.pool
    found.check_id("pool.pool_id", pool.pool_id)
    found.check_capabilities("pool.capabilities", pool.capabilities)
    found.check_length("pool.task_types", pool.task_types, most=100, unit="task types")
    for index, task_type in enumerate(pool.task_types):
        found.check_length(f"pool.task_types[{index}]", task_type, least=1, most=128)
    for index, name in enumerate(pool.triggers):
        known = f"there are {', '.join(sorted(triggers))}"
        found.check(f"pool.triggers[{index}]", name in triggers, f"no trigger is named {name!r}; {known}")
    found.check_labels("pool.labels", pool.labels)
    found.check_id("pool.budget_id", pool.budget_id, optional=True)
    driver, spec = driver_of(pool, found)
    row = PoolRow(
        pool.pool_id,
        _bounds_of(pool, found),
        driver,
        spec,
        task_types=tuple(sorted(set(pool.task_types))),
        target=_target_of(pool, found),
        startup_timeout=_time(pool, "startup_timeout", _DEFAULT_ROW.startup_timeout, found, least=1_000, most=HOUR_MS),
        drain_limit=_time(pool, "drain_limit", _DEFAULT_ROW.drain_limit, found),
        budget_id=pool.budget_id,
        priority=pool.priority,
        paused=pool.paused,
        labels=tuple(sorted(pool.labels.items())),
    )
    revision = revision_of(pool.etag, "pool.etag", found)
    found.raise_if_any()
    return ApplyPool(row, revision)


def _bounds_of(pool: agent_pool_pb2.AgentPool, found: Violations) -> AgentPool:
    least = _number(pool, "min_agents", _DEFAULT.least, found, least=0)
    up = _part(pool, "up_threshold", _DEFAULT.up_threshold, found, least=0.01)
    down = _part(pool, "down_threshold", _DEFAULT.down_threshold, found, least=0)
    found.check("pool.down_threshold", down < up, "must be below up_threshold: between them the number stays")
    for name in ("agent_cost_micros_per_hour", "cost_limit_micros_per_hour"):
        found.check_range(f"pool.{name}", getattr(pool, name), least=0, most=MOST_MONEY)
    most = pool.max_agents if pool.HasField("max_agents") else max(_DEFAULT.most, least)
    found.check_range("pool.max_agents", most, least=max(1, least), most=MOST_AGENTS)
    return AgentPool(
        pool.pool_id,
        capabilities=tuple(sorted(pool.capabilities.items())),
        slots=_number(pool, "slots", _DEFAULT.slots, found, least=1),
        least=least,
        most=most,
        triggers=tuple(dict.fromkeys(pool.triggers)) or DEFAULT_TRIGGERS,
        up_threshold=up,
        down_threshold=down,
        up_step=_number(pool, "up_step", _DEFAULT.up_step, found, least=1),
        down_step=_number(pool, "down_step", _DEFAULT.down_step, found, least=1),
        cooldown=_time(pool, "cooldown", _DEFAULT.cooldown, found),
        window=_time(pool, "window", _DEFAULT.window, found),
        sustained=_time(pool, "sustained", _DEFAULT.sustained, found),
        wait_target=_time(pool, "wait_target", _DEFAULT.wait_target, found, least=1),
        response_target=_time(pool, "response_target", _DEFAULT.response_target, found),
        agent_cost=pool.agent_cost_micros_per_hour,
        cost_limit=pool.cost_limit_micros_per_hour,
    )


def _target_of(pool: agent_pool_pb2.AgentPool, found: Violations) -> int:
    if not pool.HasField("target_agents"):
        return -1
    found.check_range("pool.target_agents", pool.target_agents, least=0, most=MOST_AGENTS)
    return pool.target_agents


def _number(pool: agent_pool_pb2.AgentPool, name: Any, default: int, found: Violations, *, least: int) -> int:
    if not pool.HasField(name):
        return default
    found.check_range(f"pool.{name}", getattr(pool, name), least=least, most=MOST_AGENTS)
    return int(getattr(pool, name))


def _part(pool: agent_pool_pb2.AgentPool, name: Any, default: int, found: Violations, *, least: float) -> int:
    """Return a part of a whole in thousandths."""
    if not pool.HasField(name):
        return default
    part: float = getattr(pool, name)
    found.check_range(f"pool.{name}", part, least=least, most=1)
    return round(1000 * part)


def _time(
    pool: agent_pool_pb2.AgentPool, name: Any, default: int, found: Violations, *, least: int = 0, most: int = DAY_MS
) -> int:
    if not pool.HasField(name):
        return default
    value: Duration = getattr(pool, name)
    return found.check_duration(f"pool.{name}", value, least_ms=least, most_ms=most)


def revision_of(etag: str, field: str, found: Violations) -> int:
    """Return the revision that an etag stands for, and note when it is none; 0 for an empty one."""
    valid = not etag or (etag.isascii() and etag.isdigit() and len(etag) < 20)
    found.check(field, valid, "is not an etag of this service; read the pool again")
    return int(etag or 0) if valid else 0


def delete_command(request: pb.DeletePoolRequest) -> DeletePool:
    """Translate a deletion."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    revision = revision_of(request.etag, "etag", found)
    found.raise_if_any()
    return DeletePool(request.pool_id, revision, request.keep_agents)


def pool_id_of(request: Any) -> str:
    """Return which pool is meant."""
    found = Violations()
    found.check_id("pool_id", request.pool_id)
    found.raise_if_any()
    pool_id: str = request.pool_id
    return pool_id


def listing_of(request: pb.ListPoolsRequest) -> tuple[int, Filter[PoolStatus]]:
    """Return page size and filter of a list."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, POOL_FIELDS, found)
    found.raise_if_any()
    return size, selected


def pool_message(shown: PoolStatus) -> agent_pool_pb2.AgentPool:
    """Return a pool as the contract has it."""
    row, pool = shown.row, shown.row.pool
    message = agent_pool_pb2.AgentPool(
        pool_id=row.pool_id,
        capabilities=dict(pool.capabilities),
        task_types=row.task_types,
        slots=pool.slots,
        min_agents=pool.least,
        max_agents=pool.most,
        target_agents=row.target if row.target >= 0 else None,
        triggers=pool.triggers,
        up_threshold=pool.up_threshold / 1000,
        down_threshold=pool.down_threshold / 1000,
        up_step=pool.up_step,
        down_step=pool.down_step,
        cooldown=duration(pool.cooldown),
        window=duration(pool.window),
        sustained=duration(pool.sustained),
        wait_target=duration(pool.wait_target),
        response_target=duration(pool.response_target) if pool.response_target else None,
        startup_timeout=duration(row.startup_timeout),
        drain_limit=duration(row.drain_limit),
        agent_cost_micros_per_hour=pool.agent_cost,
        cost_limit_micros_per_hour=pool.cost_limit,
        budget_id=row.budget_id,
        priority=row.priority,
        paused=row.paused,
        labels=dict(row.labels),
        etag=str(row.revision),
        create_time=timestamp(row.created_wall),
        update_time=timestamp(row.updated_wall),
        status=_status_message(shown),
    )
    set_driver(message, row.driver, row.spec)
    return message


def _status_message(shown: PoolStatus) -> agent_pool_pb2.AgentPool.Status:
    state = shown.state
    kind = agent_pool_pb2.AgentPool
    message = kind.Status(
        desired_count=state.decided,
        ready_count=shown.ready,
        starting_count=shown.starting,
        leaving_count=shown.leaving,
        failed_count=state.failing,
        conditions=[
            kind.Condition(type=each.name, holds=each.holds, message=each.message) for each in shown.conditions
        ],
        victims=[
            kind.Victim(
                agent_id=each.agent_id,
                phase=_PHASES.Value(f"PHASE_{each.phase.name}"),
                choose_time=timestamp(each.chosen_wall),
            )
            for each in shown.victims
        ],
        decision_seq=state.seq,
        decision_epoch=epoch_message(state.epoch),
        last_event_id=f"{state.pool_id}/{state.last_event}" if state.last_event else "",
        startup_time=duration(state.startup) if state.startup else None,
        observation=observation_message(shown.observation, shown.observed_wall) if shown.observation else None,
        deleting=shown.row.deleting,
        hold_until=timestamp(shown.hold_until_wall) if shown.hold_until_wall else None,
    )
    if (surge := state.surge) is not None:
        message.surge.MergeFrom(
            kind.Surge(
                max_agents=surge.most,
                up_step=surge.up_step,
                cost_limit_micros_per_hour=surge.cost_limit,
                reason=surge.reason,
                principal=surge.principal,
                expire_time=timestamp(surge.until_wall),
            )
        )
    return message

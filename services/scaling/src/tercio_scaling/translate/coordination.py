"""Coordinated scaling: domain to contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tercio.api.scaling.v1 import coordinated_scaling_pb2 as coordinated
from tercio_common.rpc.fields import duration
from tercio_scaling.state.coordination import Plan
from tercio_scaling.state.rows import EventRow
from tercio_scaling.state.status import PoolStatus
from tercio_scaling.translate.events import event_message, impact_message, limit_messages, proposal_messages


def analysis_message(plan: Plan) -> coordinated.ScalingAnalysis:
    """Return what the pools need."""
    kind = coordinated.ScalingAnalysis.Requirement
    return coordinated.ScalingAnalysis(
        requirements=[
            kind(
                pool_id=each.pool_id,
                before_count=each.before,
                required_count=each.required,
                proposals=proposal_messages(each.proposals),
                observed=each.observed,
            )
            for each in plan.requirements
        ]
    )


def strategy_message(plan: Plan) -> coordinated.ScalingStrategy:
    """Return in which order and how far they are scaled."""
    kind = coordinated.ScalingStrategy.Step
    return coordinated.ScalingStrategy(
        name=plan.strategy,
        steps=[
            kind(
                pool_id=each.pool_id,
                before_count=each.before,
                after_count=each.after,
                limits=limit_messages(each.limits),
            )
            for each in plan.steps
        ],
    )


def impact_assessment_message(plan: Plan) -> coordinated.ImpactAssessment:
    """Return what it makes of them, and of what they share."""
    kind = coordinated.ImpactAssessment
    return kind(
        pools=[
            kind.PoolImpact(pool_id=step.pool_id, impact=impact_message(impact))
            for step, impact in zip(plan.steps, plan.impacts, strict=True)
        ],
        budgets=[
            kind.BudgetImpact(
                budget_id=each.budget_id,
                agents_before=each.before.agents,
                agents_after=each.after.agents,
                cost_before_micros_per_hour=each.before.cost,
                cost_after_micros_per_hour=each.after.cost,
            )
            for each in plan.budgets
        ],
    )


def execution_message(events: Iterable[EventRow], *, is_dry: bool) -> coordinated.ScalingExecution:
    """Return what was decided."""
    return coordinated.ScalingExecution(dry_run=is_dry, events=map(event_message, events))


def validation_message(pool_ids: Iterable[str], shown: Mapping[str, PoolStatus]) -> coordinated.ScalingValidation:
    """Return whether the agents are there, or gone."""
    results = [_result(pool_id, shown.get(pool_id)) for pool_id in pool_ids]
    return coordinated.ScalingValidation(results=results, reached=all(each.reached for each in results))


def _result(pool_id: str, shown: PoolStatus | None) -> coordinated.ScalingValidation.PoolResult:
    kind = coordinated.ScalingValidation.PoolResult
    if shown is None:
        return kind(pool_id=pool_id, message="the pool is no more")
    decided = shown.state.decided
    problems = [each.message for each in shown.conditions if each.name in ("Observed", "Driven") and not each.holds]
    if shown.ready != decided:
        problems.append(f"{shown.ready} of {decided} agents take work")
    if shown.victims:
        problems.append(f"{len(shown.victims)} agents still leave")
    return kind(
        pool_id=pool_id,
        desired_count=decided,
        ready_count=shown.ready,
        reached=not problems,
        message="; ".join(problems),
    )


def phase_times(times: Iterable[tuple[str, int]]) -> list[coordinated.PhaseTime]:
    """Return how long phases took, in ms."""
    return [coordinated.PhaseTime(name=name, duration=duration(took)) for name, took in times]

"""Events: domain to contract, and what a list of them selects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from tercio.api.scaling.v1 import scaling_event_pb2 as events
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.filtering.predicates import Filter
from tercio_common.rpc.fields import duration, epoch_message, filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.filters import EVENT_FIELDS
from tercio_scaling.state.rows import EventKind, EventRow, Impact, Outcome
from tercio_scaling.state.triggers.protocol import Proposal
from tercio_scaling.translate.observations import observation_message


def listing_of(request: pb.ListScalingEventsRequest) -> tuple[int, Filter[EventRow]]:
    """Return page size and filter of a list. Raises INVALID_ARGUMENT, as `watch_filter` does."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, EVENT_FIELDS, found)
    found.raise_if_any()
    return size, selected


def watch_filter(request: pb.WatchScalingEventsRequest) -> Filter[EventRow]:
    """Return what a watch selects."""
    found = Violations()
    selected = filter_of(request.expression, EVENT_FIELDS, found)
    found.raise_if_any()
    return selected


def event_message(row: EventRow) -> events.ScalingEvent:
    """Return an event as the contract has it."""
    kind = events.ScalingEvent
    return kind(
        event_id=f"{row.pool_id}/{row.number}" if row.number else "",
        create_time=timestamp(row.wall),
        pool_id=row.pool_id,
        kind=cast("events.ScalingEvent.Kind.ValueType", int(row.kind)),
        before_count=row.before,
        after_count=row.after,
        wanted_count=row.wanted,
        rule=row.rule,
        reason=row.reason,
        proposals=proposal_messages(row.proposals),
        limits=limit_messages(row.limits),
        inputs=observation_message(row.inputs, row.wall) if row.inputs is not None else None,
        impact=impact_message(row.impact) if row.impact is not None else None,
        phases=list(_phases(row)) if row.number else (),
        outcome=cast("events.ScalingEvent.Outcome.ValueType", int(row.outcome)),
        agent_ids=row.agent_ids,
        principal=row.principal,
        scaling_id=row.scaling_id,
        epoch=epoch_message(row.epoch),
    )


def proposal_messages(proposals: Iterable[Proposal]) -> list[events.Proposal]:
    """Return words of triggers as the contract has them."""
    return [
        events.Proposal(trigger=each.trigger, agent_count=each.agents, why=each.why, yields=each.yields)
        for each in proposals
    ]


def limit_messages(limits: Iterable[Limit]) -> list[events.Limit]:
    """Return limits as the contract has them."""
    return [events.Limit(name=each.name, agent_count=each.agents) for each in limits]


def impact_message(impact: Impact) -> events.Impact:
    """Return an impact as the contract has it."""
    return events.Impact(
        slots_before=impact.slots_before,
        slots_after=impact.slots_after,
        cost_before_micros_per_hour=impact.cost_before,
        cost_after_micros_per_hour=impact.cost_after,
        expected_time=duration(impact.expected) if impact.expected else None,
        victim_agent_ids=impact.victims,
    )


def _phases(row: EventRow) -> Iterator[events.Phase]:
    """Give how a change of the number was carried out, as far as it was."""
    if row.outcome == Outcome.NONE:
        return
    driven = row.driven_wall or row.ended_wall
    took = duration(driven - row.wall) if driven else None
    yield events.Phase(name="drive", start_time=timestamp(row.wall), duration=took)
    if driven:
        took = duration(row.ended_wall - driven) if row.ended_wall else None
        name = "start" if row.kind == EventKind.SCALED_UP else "leave"
        yield events.Phase(name=name, start_time=timestamp(driven), duration=took)

"""Why a pool has as many agents as it has: an event, as people read it."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.markup import escape

from tercio.api.scaling.v1 import scaling_event_pb2 as events
from tercio.cli import texts
from tercio.cli.output import Column, Format, View, show_one


def kind_of(event: events.ScalingEvent) -> str:
    """Return the kind of an event by its short name."""
    return events.ScalingEvent.Kind.Name(event.kind).removeprefix("KIND_")


def outcome_of(event: events.ScalingEvent) -> str:
    """Return how an event ended, and after how long; empty for what is no change of the number."""
    name = events.ScalingEvent.Outcome.Name(event.outcome).removeprefix("OUTCOME_")
    if name in {"UNSPECIFIED", "NONE"}:
        return ""
    took = [each.duration.ToTimedelta() for each in event.phases if each.HasField("duration")]
    return f"DONE in {texts.span(sum(took[1:], took[0]))}" if name == "DONE" and took else name


def limits_of(event: events.ScalingEvent) -> str:
    """Return what kept a decision from its aim."""
    return ", ".join([f"{each.name} ({each.agent_count})" for each in event.limits])


VIEW: View[events.ScalingEvent] = View(
    name=lambda event: event.event_id,
    nothing="nothing has happened yet",
    columns=(
        Column("AGE", lambda event: texts.age(event.create_time)),
        Column("POOL", lambda event: escape(event.pool_id)),
        Column("KIND", kind_of),
        Column("AGENTS", lambda event: f"{event.before_count} -> {event.after_count}"),
        Column("RULE", lambda event: escape(event.rule) or "-"),
        Column("WHY", lambda event: escape(event.reason)),
        Column("LIMITS", lambda event: escape(limits_of(event)) or "-"),
        Column("OUTCOME", lambda event: outcome_of(event) or "-"),
        Column("EVENT", lambda event: escape(event.event_id) or "-", wide=True),
        Column("ABOUT", lambda event: escape(", ".join(event.agent_ids)) or "-", wide=True),
        Column("BY", lambda event: escape(event.principal) or "-", wide=True),
    ),
)


def explained(event: events.ScalingEvent, output: Format) -> None:
    """Print an event with all that it was drawn from."""
    show_one(event, VIEW, output)
    if output in {Format.TABLE, Format.WIDE}:
        for line in _lines(event):
            typer.echo(line)


def _lines(event: events.ScalingEvent) -> Iterator[str]:
    if event.HasField("inputs"):
        seen = event.inputs
        yield (
            f"seen: {seen.waiting_count} tasks wait, {seen.running_count} run; {seen.ready_count} agents are ready, "
            f"{seen.starting_count} start, {seen.leaving_count} leave, {seen.failed_count} were lost"
        )
    for each in event.proposals:
        yield f"{each.trigger} would have {each.agent_count} agents: {each.why}"
    for limit in event.limits:
        yield f"{limit.name} limits it to {limit.agent_count} agents"
    if event.HasField("impact") and event.before_count != event.after_count:
        impact = event.impact
        yield f"slots {impact.slots_before} -> {impact.slots_after}"
        if impact.cost_before_micros_per_hour or impact.cost_after_micros_per_hour:
            before, after = impact.cost_before_micros_per_hour, impact.cost_after_micros_per_hour
            yield f"cost an hour {before / 1e6:g} -> {after / 1e6:g}"
